"""The seal: what does not open as it was written does not open at all; keys, their file and their database."""

import hashlib
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.core.errors import StartUpError
from companion.core.keys import SqliteKeys
from companion.core.vault import KeyMissing, SealBroken, Vault, bind, read_master

MASTER = bytes(range(32))
ANA = UUID(int=1)
BEN = UUID(int=2)
BOUND = bind("logs", 1, ANA.bytes, 7, "mood", None)
PLAIN = b'{"kind":"mood","mood":4,"note":"slept well"}'


@pytest.fixture
def keys(tmp_path: Path) -> SqliteKeys:
    return SqliteKeys(tmp_path / "keys.db")


@pytest.fixture
def vault(keys: SqliteKeys) -> Vault:
    vault = Vault(MASTER, keys)
    vault.create(ANA)
    vault.create(BEN)
    return vault


def rewrite(keys: SqliteKeys, owner: UUID, wrapped: bytes | None) -> Vault:
    """Another hand changes a wrapped key; the vault that then opens the database."""
    keys._connection.execute("DELETE FROM keys WHERE owner = ?", (owner.bytes,))
    if wrapped is not None:
        keys.add(owner.bytes, wrapped)
    return Vault(MASTER, keys)


def test_what_was_sealed_opens(vault: Vault) -> None:
    sealed = vault.seal(ANA, BOUND, PLAIN)
    assert vault.open(ANA, BOUND, sealed) == PLAIN
    assert PLAIN[2:8] not in sealed
    assert vault.seal(ANA, BOUND, b"") != vault.seal(ANA, BOUND, b"")


def test_every_changed_byte_is_found(vault: Vault) -> None:
    sealed = vault.seal(ANA, BOUND, PLAIN)
    for place in range(len(sealed)):
        for flip in (0x01, 0x80, 0xFF):
            changed = sealed[:place] + bytes([sealed[place] ^ flip]) + sealed[place + 1 :]
            with pytest.raises(SealBroken) as raised:
                vault.open(ANA, BOUND, changed)
            assert raised.value.owner == ANA


def test_every_cut_and_every_addition_is_found(vault: Vault) -> None:
    sealed = vault.seal(ANA, BOUND, PLAIN)
    for changed in (*(sealed[:length] for length in range(len(sealed))), sealed + b"\x00", sealed + sealed):
        with pytest.raises(SealBroken):
            vault.open(ANA, BOUND, changed)


def test_every_changed_byte_of_what_it_is_bound_to_is_found(vault: Vault) -> None:
    sealed = vault.seal(ANA, BOUND, PLAIN)
    for place in range(len(BOUND)):
        changed = BOUND[:place] + bytes([BOUND[place] ^ 1]) + BOUND[place + 1 :]
        with pytest.raises(SealBroken):
            vault.open(ANA, changed, sealed)


def test_a_value_of_another_person_or_row_does_not_open(vault: Vault) -> None:
    hers, his = vault.seal(ANA, BOUND, PLAIN), vault.seal(BEN, BOUND, PLAIN)
    elsewhere = vault.seal(ANA, bind("logs", 1, ANA.bytes, 8, "mood", None), PLAIN)
    for owner, sealed in ((ANA, his), (BEN, hers), (ANA, elsewhere)):
        with pytest.raises(SealBroken):
            vault.open(owner, BOUND, sealed)


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary(), max_size=6), st.data())
def test_two_rows_never_bind_alike(columns: list[int | str | bytes | None], data: st.DataObject) -> None:
    other = data.draw(st.permutations(columns))
    assert (bind("logs", 1, *columns) == bind("logs", 1, *other)) == (columns == other)
    assert bind("logs", 1, *columns) != bind("logs", 2, *columns)
    assert bind("logs", 1, *columns) != bind("log", 1, *columns)
    assert bind("logs", 1, *columns) != bind("logs", 1, *columns, None)


def test_a_format_of_a_later_version_is_named(vault: Vault, keys: SqliteKeys) -> None:
    sealed = vault.seal(ANA, BOUND, PLAIN)
    with pytest.raises(SealBroken, match="it is of format 2, this code knows 1: upgrade Companion"):
        vault.open(ANA, BOUND, b"\x02" + sealed[1:])
    wrapped = keys.get(ANA.bytes)
    assert wrapped is not None
    with pytest.raises(SealBroken, match="its key is of format 2"):
        rewrite(keys, ANA, b"\x02" + wrapped[1:]).open(ANA, BOUND, sealed)


def test_what_version_1_wrote_opens_for_ever(keys: SqliteKeys) -> None:
    """Bytes made once by AES-256-GCM alone, not by this code: a change of any format shows here."""
    keys.add(
        ANA.bytes,
        bytes.fromhex(
            "010000000000000000000000002e9d97fd9109a59a2081831e3401bfb6"
            "e27264601cb45618b8a789b8f9c26369b7368d6bc2f87b54eeb89d27e76329bb"
        ),
    )
    sealed = bytes.fromhex("01000102030405060708090a0b277030c82551c9d68884ac1aaa6c432f5bf4844c08c7dacb424b")
    assert bytes.fromhex("96a46c6f677301c4100000000000000000000000000000000107a46d6f6f64c0") == BOUND
    assert Vault(MASTER, keys).open(ANA, BOUND, sealed) == b'{"mood":4}'


def test_no_nonce_comes_twice(vault: Vault) -> None:
    nonces = {vault.seal(ANA, b"", b"")[1:13] for _ in range(100_000)}
    assert len(nonces) == 100_000


# wrapped keys


def test_every_changed_byte_of_a_wrapped_key_is_found(vault: Vault, keys: SqliteKeys) -> None:
    sealed = vault.seal(ANA, BOUND, PLAIN)
    wrapped = keys.get(ANA.bytes)
    assert wrapped is not None
    for place in range(len(wrapped)):
        changed = wrapped[:place] + bytes([wrapped[place] ^ 1]) + wrapped[place + 1 :]
        with pytest.raises(SealBroken):
            rewrite(keys, ANA, changed).open(ANA, BOUND, sealed)
    for length in (0, 1, 5, 13, 20):
        with pytest.raises(SealBroken):
            rewrite(keys, ANA, wrapped[:length]).open(ANA, BOUND, sealed)
    assert rewrite(keys, ANA, wrapped).open(ANA, BOUND, sealed) == PLAIN


def test_two_swapped_keys_are_found(vault: Vault, keys: SqliteKeys) -> None:
    sealed = vault.seal(ANA, BOUND, PLAIN)
    with pytest.raises(SealBroken):
        rewrite(keys, ANA, keys.get(BEN.bytes)).open(ANA, BOUND, sealed)


def test_a_missing_key_is_told_apart_from_a_broken_one(vault: Vault, keys: SqliteKeys) -> None:
    sealed = vault.seal(ANA, BOUND, PLAIN)
    with pytest.raises(KeyMissing) as raised:
        rewrite(keys, ANA, None).open(ANA, BOUND, sealed)
    assert raised.value.owner == ANA
    with pytest.raises(KeyMissing):
        vault.seal(uuid4(), BOUND, PLAIN)


def test_the_first_of_two_racing_keys_stays(vault: Vault, keys: SqliteKeys) -> None:
    first = keys.get(ANA.bytes)
    vault.create(ANA)
    keys.add(ANA.bytes, b"later")
    assert keys.get(ANA.bytes) == first
    assert sorted(vault.owners()) == [ANA, BEN]


def test_a_key_is_on_disk_when_create_returns(vault: Vault, tmp_path: Path) -> None:
    """Another connection sees it, and SQLite syncs even the folder's entry of the journal before it says so."""
    vault.create(new := uuid4())
    other = SqliteKeys(tmp_path / "keys.db", read_only=True)
    assert other.get(new.bytes) is not None
    other.close()
    keys = vault._keys
    assert isinstance(keys, SqliteKeys)
    settings = {"synchronous": 3, "secure_delete": 1, "temp_store": 2, "journal_mode": "delete"}
    assert {name: keys._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in settings} == settings


def test_a_deleted_key_leaves_no_byte(vault: Vault, keys: SqliteKeys, tmp_path: Path) -> None:
    wrapped = keys.get(ANA.bytes)
    assert wrapped is not None
    assert wrapped in (tmp_path / "keys.db").read_bytes()
    keys._connection.execute("DELETE FROM keys WHERE owner = ?", (ANA.bytes,))
    assert wrapped[1:] not in (tmp_path / "keys.db").read_bytes()


# the keys database and the key file


def test_a_wrong_master_key_is_refused(vault: Vault, keys: SqliteKeys) -> None:
    with pytest.raises(StartUpError, match="does not fit the keys database"):
        Vault(bytes(32), keys)
    assert Vault(MASTER, keys).owners() == vault.owners()


def test_a_keys_database_newer_than_the_code_is_refused_untouched(vault: Vault, tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    vault.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=2")
    connection.close()
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    for read_only in (False, True):
        with pytest.raises(StartUpError, match=r"keys\.db has version 2, this code knows 1: upgrade Companion"):
            SqliteKeys(path, read_only=read_only)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_a_check_of_a_later_format_is_refused_by_name(vault: Vault, keys: SqliteKeys) -> None:
    keys._connection.execute("UPDATE keys SET wrapped = CAST(x'02' || substr(wrapped, 2) AS BLOB) WHERE length(owner) <> 16")
    with pytest.raises(StartUpError, match="newer version of Companion"):
        Vault(MASTER, keys)


def test_what_is_no_keys_database_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "keys.db"
    path.write_bytes(b"not a database, but long enough to be looked at as one " * 100)
    with pytest.raises(StartUpError, match=r"keys\.db cannot be opened"):
        SqliteKeys(path)
    with pytest.raises(StartUpError, match="cannot be opened"):
        SqliteKeys(tmp_path / "nowhere" / "keys.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(StartUpError, match="holds no keys"):
        SqliteKeys(tmp_path / "empty.db", read_only=True)


def test_the_keys_database_is_for_nobody_else(vault: Vault, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "keys.db").stat().st_mode) == 0o600


def test_the_key_file_is_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "companion.key"
    first = read_master(path, fresh=True)
    assert len(first) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_master(path, fresh=True) == read_master(path, fresh=False) == first
    assert [found.name for found in path.parent.iterdir()] == ["companion.key"]


def test_a_missing_key_file_is_not_made_anew_when_keys_exist(tmp_path: Path) -> None:
    with pytest.raises(StartUpError, match="is missing: restore it"):
        read_master(tmp_path / "companion.key", fresh=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o666, 0o610, 0o601])
def test_a_key_file_others_may_use_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "companion.key"
    read_master(path, fresh=True)
    path.chmod(mode)
    with pytest.raises(StartUpError, match=f"mode {mode:04o}: run chmod 600 "):
        read_master(path, fresh=False)


@pytest.mark.parametrize("text", [b"", b"00" * 31, b"00" * 33, b"zz" * 32, b"\xff" * 64])
def test_a_key_file_that_is_no_key_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "companion.key"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(StartUpError, match="is not a key of 64 hexadecimal digits"):
        read_master(path, fresh=False)


def test_a_key_file_that_cannot_be_used_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "companion.key").mkdir(0o700)
    with pytest.raises(StartUpError, match="cannot be used"):
        read_master(tmp_path / "companion.key", fresh=False)


def test_processes_that_start_at_once_read_one_key(tmp_path: Path) -> None:
    """Twenty rounds of eight; a process that read a key which another then replaced would seal into nothing."""
    code = (
        "import sys; from pathlib import Path; from companion.core.vault import read_master\n"
        "for line in sys.stdin: print(read_master(Path(line.strip()), fresh=True).hex(), flush=True)"
    )
    starters = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for number in range(40):
        path = tmp_path / f"{number}.key"
        for starter in starters:
            assert starter.stdin is not None
            starter.stdin.write(f"{path}\n")
            starter.stdin.flush()
        read = {starter.stdout.readline().strip() for starter in starters if starter.stdout is not None}
        assert read == {path.read_text().strip()}
    for starter in starters:
        starter.communicate(timeout=10)


def test_the_draft_of_a_key_is_not_named_by_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two containers on one volume may both be process 1: with one draft name the second rewrites the first one's key."""
    drafts: list[Path] = []
    real = Path.hardlink_to

    def note(self: Path, target: Path) -> None:
        drafts.append(Path(target))
        real(self, target)

    monkeypatch.setattr(Path, "hardlink_to", note)
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        read_master(tmp_path / str(number) / "companion.key", fresh=True)
    assert drafts[0].name != drafts[1].name
    assert not any(str(os.getpid()) == part for draft in drafts for part in draft.name.split("."))


def test_stamps_and_codes_depend_on_master_purpose_and_message(vault: Vault, tmp_path: Path) -> None:
    other = Vault(bytes(32), SqliteKeys(tmp_path / "other.db"))
    macs = {v.mac(purpose, message) for v in (vault, other) for purpose in ("a", "b") for message in (b"", b"x")}
    assert len(macs) == 8
    assert all(len(mac) == 32 for mac in macs)
    stamp = vault.stamp(BOUND)
    vault.check(ANA, BOUND, stamp)
    for wrong, bound in ((stamp[:-1], BOUND), (other.stamp(BOUND), BOUND), (stamp, BOUND + b"x"), (b"", BOUND)):
        with pytest.raises(SealBroken):
            vault.check(ANA, bound, wrong)
