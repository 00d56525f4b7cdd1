"""What makes a diary file unreadable without its key: AES-256-GCM, by the extra ``companion-sdk[sealed]``. Knows no table.

A sealed value is bound to its place (table, row, the clear columns beside it that never change), so that none can be moved.
Its first byte is the version of this form, then come a 12-byte nonce and the ciphertext with its tag.
"""

import os
from typing import Literal, Protocol

import msgspec

from companion_sdk.errors import WrongKey

KEY_BYTES = 32

_VERSION = b"\x01"
_NONCE_BYTES = 12
_SALT_BYTES = 16
_MOST_COST = 2**20
_CHECK = b"companion diary"
_MISSING = "a sealed diary needs the extra: pip install companion-sdk[sealed]"


class Seal(Protocol):
    """How a value stands in the file."""

    def shut(self, place: bytes, plain: bytes) -> bytes:
        """The value as it is stored at ``place``."""
        ...

    def open(self, place: bytes, kept: bytes) -> bytes:
        """The value that was stored there."""
        ...


class Plain:
    """Values stand as they are."""

    def shut(self, place: bytes, plain: bytes) -> bytes:
        """The value itself."""
        return plain

    def open(self, place: bytes, kept: bytes) -> bytes:
        """The value itself."""
        return kept


class Sealed:
    """Values stand sealed under one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise ImportError(_MISSING) from None
        self._cipher = AESGCM(key)
        self._broken = InvalidTag

    def shut(self, place: bytes, plain: bytes) -> bytes:
        """The value sealed for this place alone."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, _VERSION + place)

    def open(self, place: bytes, kept: bytes) -> bytes:
        """The value that was sealed for this place.

        Raises:
            WrongKey: under another key, or for another place.
        """
        nonce, sealed = kept[1 : 1 + _NONCE_BYTES], kept[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, sealed, kept[:1] + place)
        except (self._broken, ValueError):
            raise WrongKey("this does not open with the key that was given") from None


class Terms(msgspec.Struct, frozen=True):
    """How a file is sealed, in clear at its head: from what the key is made, and a value that shows the right one.

    ``scrypt``: of a passphrase (RFC 7914) with cost ``n``, block size ``r``, parallelism ``p``. ``key``: the caller's own.
    """

    by: Literal["nothing", "scrypt", "key"]
    salt: bytes = b""
    n: int = 2**15
    r: int = 8
    p: int = 1
    check: bytes = b""


class Secret(msgspec.Struct, frozen=True):
    """What the caller gave: a passphrase, a key, or neither. Never shown."""

    passphrase: str | None = None
    key: bytes | None = None

    def __repr__(self) -> str:
        return "<Secret>"


def secret(passphrase: str | None, key: bytes | None) -> Secret:
    """The caller's secret, looked at once."""
    if passphrase is not None and key is not None:
        raise ValueError("give a passphrase or a key, not both")
    if passphrase == "":
        raise ValueError("a passphrase is not empty")
    if key is not None and len(key) != KEY_BYTES:
        raise ValueError("a key has 32 bytes")
    return Secret(passphrase, key)


def begin(given: Secret) -> tuple[Terms, Seal]:
    """The terms of a new file, and its seal."""
    if given.passphrase is None and given.key is None:
        return Terms("nothing"), Plain()
    terms = Terms("key") if given.key is not None else Terms("scrypt", salt=os.urandom(_SALT_BYTES))
    seal = Sealed(_key(terms, given))
    return msgspec.structs.replace(terms, check=seal.shut(b"", _CHECK)), seal


def resume(terms: Terms, given: Secret) -> Seal:
    """The seal of a file that was written before.

    Raises:
        WrongKey: another secret than the file's.
    """
    if terms.by == "nothing":
        if given.passphrase is not None or given.key is not None:
            raise WrongKey("this diary is not sealed: open it without a passphrase or key")
        return Plain()
    if (given.passphrase if terms.by == "scrypt" else given.key) is None:
        raise WrongKey(f"this diary is sealed: open it with its {'passphrase' if terms.by == 'scrypt' else 'key'}")
    seal = Sealed(_key(terms, given))
    if seal.open(b"", terms.check) != _CHECK:
        raise WrongKey("this does not open with the key that was given")
    return seal


def _key(terms: Terms, given: Secret) -> bytes:
    if given.key is not None:
        return given.key
    try:
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    except ImportError:
        raise ImportError(_MISSING) from None
    if not (1 < terms.n <= _MOST_COST and 0 < terms.r <= 32 and 0 < terms.p <= 16):
        raise WrongKey("this diary names a cost of its passphrase that no diary has")
    stretch = Scrypt(salt=terms.salt, length=KEY_BYTES, n=terms.n, r=terms.r, p=terms.p)
    return stretch.derive((given.passphrase or "").encode())
