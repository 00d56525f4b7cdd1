"""The seal: what people wrote is AES-256-GCM under a key of their own, which lies wrapped in a database of its own.

    sealed      = version 1 ‖ nonce (12) ‖ ciphertext and tag          associated data: ``bound``
    wrapped key = version 1 ‖ nonce (12) ‖ 32-byte key and tag         associated data: "companion key", owner
    stamp       = version 1 ‖ HMAC-SHA-256(bound)                      of a row that holds nothing sealed

``bound`` is a MessagePack array of every clear column beside the sealed one (its first item says of which table and in
which version), so a changed column is found on opening. Keys are made durable before the unit that uses them commits: an
orphan key is harmless, a row without its key would be lost. NIST SP 800-38D: random 96-bit nonces are safe far past the
number of entries one person can write.
"""

import contextlib
import hmac
import os
import threading
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import StartUpError

VERSION = b"\x01"
_encode = msgspec.msgpack.Encoder().encode
_CHECK = b"companion master key"
_CACHE = 50_000


class SealBroken(Exception):
    """A sealed value does not open: it, its key or a column it binds was changed. ``owner`` says whose."""

    def __init__(self, owner: UUID, why: str = "it or what it is bound to was changed") -> None:
        super().__init__(f"a sealed value of {owner} does not open: {why}")
        self.owner = owner


class KeyMissing(Exception):
    """The owner's key is gone: erased, or the keys database is older than the data."""

    def __init__(self, owner: UUID) -> None:
        super().__init__(f"no key for {owner}")
        self.owner = owner


class KeyStore(Protocol):
    """Where wrapped keys lie. ``add`` is durable when it returns and keeps the first of two racing keys."""

    def get(self, owner: bytes) -> bytes | None: ...
    def add(self, owner: bytes, wrapped: bytes) -> None: ...
    def check(self) -> bytes | None: ...
    def set_check(self, wrapped: bytes) -> None: ...
    def owners(self) -> list[bytes]: ...
    def close(self) -> None: ...


def bind(table: str, version: int, *columns: int | str | bytes | None) -> bytes:
    """The clear columns of a row as the seal binds them."""
    return _encode((table, version, *columns))


class Vault:
    """Seals and opens values; safe to use from several threads."""

    def __init__(self, master: bytes, keys: KeyStore) -> None:
        self._master = AESGCM(master)
        self._derive = hmac.new(master, b"companion derived keys", sha256).digest()
        self._stamps = hmac.new(self._derive, b"stamp", sha256).digest()
        self._keys = keys
        self._open: dict[int, AESGCM] = {}  # by the id's number: a UUID hashes in Python
        self._lock = threading.Lock()
        self._prove()

    def _prove(self) -> None:
        """Refuse a master key that is not the one this keys database was made with."""
        check = self._keys.check()
        if check is None:
            self._keys.set_check(self._wrap(_CHECK, b"check"))
            check = self._keys.check() or b""
        if check[:1] > VERSION:
            raise StartUpError("the keys database holds a key of a newer version of Companion: upgrade the code")
        try:
            good = self._unwrap(check, b"check") == _CHECK
        except (InvalidTag, ValueError):
            good = False
        if not good:
            raise StartUpError("the key file does not fit the keys database: restore the key file that was made with it")

    def _wrap(self, plain: bytes, owner: bytes) -> bytes:
        nonce = os.urandom(12)
        return VERSION + nonce + self._master.encrypt(nonce, plain, b"companion key" + owner)

    def _unwrap(self, wrapped: bytes, owner: bytes) -> bytes:
        if wrapped[:1] != VERSION:
            raise InvalidTag
        return self._master.decrypt(wrapped[1:13], wrapped[13:], b"companion key" + owner)

    def create(self, owner: UUID) -> None:
        """Make the owner's key, durable on return; again is the same."""
        if self._keys.get(owner.bytes) is None:
            self._keys.add(owner.bytes, self._wrap(AESGCM.generate_key(256), owner.bytes))

    def _key(self, owner: UUID) -> AESGCM:
        key = self._open.get(owner.int)
        if key is None:
            wrapped = self._keys.get(owner.bytes)
            if wrapped is None:
                raise KeyMissing(owner)
            try:
                key = AESGCM(self._unwrap(wrapped, owner.bytes))
            except (InvalidTag, ValueError) as error:  # a nonce cut short is a ValueError
                raise SealBroken(owner, _why("its key", wrapped)) from error
            with self._lock:
                if len(self._open) >= _CACHE:
                    self._open.clear()
                self._open[owner.int] = key
        return key

    def seal(self, owner: UUID, bound: bytes, plain: bytes) -> bytes:
        """Seal ``plain`` for the owner, bound to ``bound``."""
        nonce = os.urandom(12)
        return VERSION + nonce + self._key(owner).encrypt(nonce, plain, bound)

    def open(self, owner: UUID, bound: bytes, sealed: bytes) -> bytes:
        """The plain value.

        Raises:
            SealBroken: if the value, its key or anything it is bound to was changed.
            KeyMissing: if the owner has no key.
        """
        key = self._key(owner)
        if sealed[:1] != VERSION:
            raise SealBroken(owner, _why("it", sealed))
        try:
            return key.decrypt(sealed[1:13], sealed[13:], bound)
        except (InvalidTag, ValueError) as error:
            raise SealBroken(owner, _why("it", sealed)) from error

    def mac(self, purpose: str, message: bytes) -> bytes:
        """HMAC-SHA-256 under a key derived from the master key for ``purpose`` (cursors)."""
        key = hmac.new(self._derive, purpose.encode(), sha256).digest()
        return hmac.new(key, message, sha256).digest()

    def stamp(self, bound: bytes) -> bytes:
        """What proves that the clear columns of a row without a seal were written by this service."""
        return VERSION + hmac.digest(self._stamps, bound, "sha256")

    def check(self, owner: UUID, bound: bytes, stamp: bytes) -> None:
        """Refuse a row whose stamp does not fit its columns.

        Raises:
            SealBroken: naming ``owner``.
        """
        if not hmac.compare_digest(stamp, self.stamp(bound)):
            raise SealBroken(owner)

    def owners(self) -> list[UUID]:
        """Everyone who has a key."""
        return [UUID(bytes=owner) for owner in self._keys.owners()]

    def close(self) -> None:
        self._keys.close()


def _why(what: str, value: bytes) -> str:
    if value[:1] > VERSION:
        return f"{what} is of format {value[0]}, this code knows {VERSION[0]}: upgrade Companion, or it was changed"
    return f"{what} or what it is bound to was changed"


def read_master(path: Path, *, fresh: bool) -> bytes:
    """The master key from its file of mode 0600; made on first use, when nothing has been sealed yet (``fresh``).

    Raises:
        StartUpError: if it is missing although keys exist, readable by others, or not a key.
    """
    try:
        if not path.exists():
            if not fresh:
                raise StartUpError(
                    f"the key file {path} is missing: restore it from where it was kept; without it no entry opens"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            _make_key_file(path)
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise StartUpError(f"the key file {path} has mode {mode:04o}: run chmod 600 {path}")
        text = path.read_bytes()
    except OSError as error:
        raise StartUpError(f"the key file {path} cannot be used: {error.strerror}") from error
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise StartUpError(f"the key file {path} is not a key of 64 hexadecimal digits: restore it")
    return key


def _make_key_file(path: Path) -> None:
    """Write a new key whole and then give it its name, so that of two processes that start at once both read one key."""
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")  # not the process id: containers share those
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(AESGCM.generate_key(256).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else a power cut may take the name of a key that entries were sealed under
    finally:
        os.close(folder)
