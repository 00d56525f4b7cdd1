"""The SQL of what signs people in: tokens, invites, one-time codes. Only hashes of secrets are stored."""

from uuid import UUID

import msgspec

from ..core.clock import micros
from ..core.db import Row, Tx
from ..core.sql import sql
from ..core.vault import bind


class Label(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is personal of a token: its name, and the zone of the device."""

    name: str = ""
    zone: str = ""


class TokenRow(msgspec.Struct, frozen=True):
    """A token: ``kind`` is device (a patient's), session (a clinician's) or app (a third party's, for a patient)."""

    hash: bytes
    id: UUID
    kind: str
    patient_id: UUID | None
    clinician_id: UUID | None
    clinic_id: UUID
    device_id: UUID | None
    scopes: str
    created_at: int
    expires_at: int
    revoked_at: int | None
    label: Label

    @property
    def owner(self) -> UUID:
        """Whose key seals it."""
        owner = self.patient_id or self.clinician_id
        assert owner is not None
        return owner


class InviteRow(msgspec.Struct, frozen=True):
    code_hash: bytes
    id: UUID
    patient_id: UUID
    author_id: UUID
    created_at: int
    expires_at: int
    used_at: int | None
    device_id: UUID | None
    token_hash: bytes | None


_label = msgspec.json.Decoder(Label)

_COLUMNS = (
    "hash, id, kind, patient_id, clinician_id, clinic_id, device_id, scopes, created_at, expires_at, revoked_at, sealed"
)
_RESOLVE = sql(
    "SELECT id, kind, patient_id, clinician_id, clinic_id, scopes, expires_at, revoked_at FROM tokens WHERE hash = :hash"
)
_ADD_TOKEN = sql(
    f"INSERT INTO tokens ({_COLUMNS}) VALUES (:hash, :id, :kind, :patient, :clinician, :clinic, :device, :scopes, "
    ":created, :expires, :revoked, :sealed)"
)
_TOKENS = sql(f"SELECT {_COLUMNS} FROM tokens WHERE patient_id = :patient ORDER BY created_at, id")
_TOKEN = sql(f"SELECT {_COLUMNS} FROM tokens WHERE id = :id {{lock}}")
_TOKEN_READ = sql(f"SELECT {_COLUMNS} FROM tokens WHERE id = :id")
_REVOKE = sql("UPDATE tokens SET revoked_at = :now, sealed = :sealed WHERE hash = :hash")
_RENEW = sql("UPDATE tokens SET hash = :renewed, sealed = :sealed WHERE hash = :hash")


def _uuid(raw: bytes | None) -> UUID | None:
    return None if raw is None else UUID(bytes=bytes(raw))


def _blob(value: UUID | None) -> bytes | None:
    return None if value is None else value.bytes


def resolve(tx: Tx, token_hash: bytes) -> Row | None:
    """The clear columns that say who a token is; opens nothing."""
    return tx.one(_RESOLVE, hash=token_hash)


def _bound_token(token: TokenRow) -> bytes:
    return bind(
        "tokens",
        1,
        token.hash,
        token.id.bytes,
        token.kind,
        _blob(token.patient_id),
        _blob(token.clinician_id),
        token.clinic_id.bytes,
        _blob(token.device_id),
        token.scopes,
        token.created_at,
        token.expires_at,
        token.revoked_at,
    )


def _token(tx: Tx, row: Row) -> TokenRow:
    token = TokenRow(
        hash=bytes(row[0]),
        id=UUID(bytes=bytes(row[1])),
        kind=row[2],
        patient_id=_uuid(row[3]),
        clinician_id=_uuid(row[4]),
        clinic_id=UUID(bytes=bytes(row[5])),
        device_id=_uuid(row[6]),
        scopes=row[7],
        created_at=row[8],
        expires_at=row[9],
        revoked_at=row[10],
        label=Label(),
    )
    plain = tx.vault.open(token.owner, _bound_token(token), bytes(row[11]))
    return msgspec.structs.replace(token, label=_label.decode(plain))


def add_token(tx: Tx, token: TokenRow) -> None:
    tx.run(
        _ADD_TOKEN,
        hash=token.hash,
        id=token.id.bytes,
        kind=token.kind,
        patient=_blob(token.patient_id),
        clinician=_blob(token.clinician_id),
        clinic=token.clinic_id.bytes,
        device=_blob(token.device_id),
        scopes=token.scopes,
        created=token.created_at,
        expires=token.expires_at,
        revoked=token.revoked_at,
        sealed=tx.vault.seal(token.owner, _bound_token(token), msgspec.json.encode(token.label)),
    )


def tokens(tx: Tx, patient: UUID) -> list[TokenRow]:
    return [_token(tx, row) for row in tx.all(_TOKENS, patient=patient.bytes)]


def token(tx: Tx, token_id: UUID) -> TokenRow | None:
    row = tx.one(_TOKEN, id=token_id.bytes)
    return None if row is None else _token(tx, row)


def token_of(tx: Tx, token_id: UUID) -> TokenRow | None:
    """As ``token``, without a lock, for reads."""
    row = tx.one(_TOKEN_READ, id=token_id.bytes)
    return None if row is None else _token(tx, row)


def revoke(tx: Tx, token: TokenRow) -> None:
    """End a token from this unit's commit on."""
    ended = msgspec.structs.replace(token, revoked_at=micros(tx.now))
    sealed = tx.vault.seal(ended.owner, _bound_token(ended), msgspec.json.encode(ended.label))
    tx.run(_REVOKE, hash=token.hash, now=ended.revoked_at, sealed=sealed)


def renew(tx: Tx, token: TokenRow, new_hash: bytes) -> TokenRow:
    """Give a token a new secret; the old one ends. The row stays: whoever waits for its lock must find it after us."""
    renewed = msgspec.structs.replace(token, hash=new_hash)
    sealed = tx.vault.seal(renewed.owner, _bound_token(renewed), msgspec.json.encode(renewed.label))
    tx.run(_RENEW, hash=token.hash, renewed=new_hash, sealed=sealed)
    return renewed


_INVITE_COLUMNS = "code_hash, id, patient_id, author_id, created_at, expires_at, used_at, device_id, token_hash, sealed"
_ADD_INVITE = sql(
    f"INSERT INTO invites ({_INVITE_COLUMNS}) VALUES (:code, :id, :patient, :author, :created, :expires, :used, :device, "
    ":token, :sealed)"
)
_INVITE = sql(f"SELECT {_INVITE_COLUMNS} FROM invites WHERE code_hash = :code {{lock}}")
_INVITE_BY_ID = sql(f"SELECT {_INVITE_COLUMNS} FROM invites WHERE id = :id {{lock}}")
_SET_INVITE = sql(
    "UPDATE invites SET code_hash = :code, author_id = :author, created_at = :created, expires_at = :expires, "
    "used_at = :used, device_id = :device, token_hash = :token, sealed = :sealed WHERE id = :id"
)


def _bound_invite(invite: InviteRow) -> bytes:
    return bind(
        "invites",
        1,
        invite.code_hash,
        invite.id.bytes,
        invite.patient_id.bytes,
        invite.author_id.bytes,
        invite.created_at,
        invite.expires_at,
        invite.used_at,
        _blob(invite.device_id),
        invite.token_hash,
    )


def _invite(tx: Tx, row: Row) -> InviteRow:
    invite = InviteRow(
        code_hash=bytes(row[0]),
        id=UUID(bytes=bytes(row[1])),
        patient_id=UUID(bytes=bytes(row[2])),
        author_id=UUID(bytes=bytes(row[3])),
        created_at=row[4],
        expires_at=row[5],
        used_at=row[6],
        device_id=_uuid(row[7]),
        token_hash=None if row[8] is None else bytes(row[8]),
    )
    tx.vault.open(invite.patient_id, _bound_invite(invite), bytes(row[9]))
    return invite


def _sealed_invite(tx: Tx, invite: InviteRow) -> bytes:
    return tx.vault.seal(invite.patient_id, _bound_invite(invite), b"")


def add_invite(tx: Tx, invite: InviteRow) -> None:
    tx.run(
        _ADD_INVITE,
        code=invite.code_hash,
        id=invite.id.bytes,
        patient=invite.patient_id.bytes,
        author=invite.author_id.bytes,
        created=invite.created_at,
        expires=invite.expires_at,
        used=invite.used_at,
        device=_blob(invite.device_id),
        token=invite.token_hash,
        sealed=_sealed_invite(tx, invite),
    )


def invite(tx: Tx, code_hash: bytes) -> InviteRow | None:
    row = tx.one(_INVITE, code=code_hash)
    return None if row is None else _invite(tx, row)


def invite_by_id(tx: Tx, invite_id: UUID) -> InviteRow | None:
    row = tx.one(_INVITE_BY_ID, id=invite_id.bytes)
    return None if row is None else _invite(tx, row)


def set_invite(tx: Tx, invite: InviteRow) -> None:
    """Change what may change of an invite. The row stays: whoever waits for its lock must find it after us."""
    tx.run(
        _SET_INVITE,
        id=invite.id.bytes,
        code=invite.code_hash,
        author=invite.author_id.bytes,
        created=invite.created_at,
        expires=invite.expires_at,
        used=invite.used_at,
        device=_blob(invite.device_id),
        token=invite.token_hash,
        sealed=_sealed_invite(tx, invite),
    )


_ADD_CODE = sql(
    "INSERT INTO codes (code_hash, clinician_id, created_at, expires_at, used_at, stamp) "
    "VALUES (:code, :clinician, :created, :expires, NULL, :stamp)"
)
_CODE = sql(
    "SELECT code_hash, clinician_id, created_at, expires_at, used_at, stamp FROM codes WHERE code_hash = :code {lock}"
)
_USE_CODE = sql(
    "UPDATE codes SET used_at = :now, stamp = :stamp WHERE code_hash = :code AND used_at IS NULL AND expires_at > :now"
)


def add_code(tx: Tx, code_hash: bytes, clinician: UUID, expires: int) -> None:
    stamp = tx.vault.stamp(bind("codes", 1, code_hash, clinician.bytes, micros(tx.now), expires, None))
    tx.run(_ADD_CODE, code=code_hash, clinician=clinician.bytes, created=micros(tx.now), expires=expires, stamp=stamp)


def use_code(tx: Tx, code_hash: bytes) -> UUID | None:
    """The clinician of a live code, which ends here."""
    row = tx.one(_CODE, code=code_hash)
    if row is None:
        return None
    clinician = UUID(bytes=bytes(row[1]))
    tx.vault.check(clinician, bind("codes", 1, code_hash, clinician.bytes, row[2], row[3], row[4]), bytes(row[5]))
    now = micros(tx.now)
    stamp = tx.vault.stamp(bind("codes", 1, code_hash, clinician.bytes, row[2], row[3], now))
    return clinician if tx.run(_USE_CODE, code=code_hash, now=now, stamp=stamp) == 1 else None
