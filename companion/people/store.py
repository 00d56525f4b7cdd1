"""The SQL of people and of how they sign in; no rule. Names and addresses lie sealed, bound to the clear columns."""

from uuid import UUID

import msgspec

from ..core.clock import micros
from ..core.db import Row, Tx
from ..core.sql import sql
from ..core.vault import bind


class Profile(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is personal of a patient or clinician."""

    name: str = ""
    zone: str = "UTC"
    language: str = "en"
    email: str = ""


class ClinicRow(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    site: str


class PatientRow(msgspec.Struct, frozen=True):
    id: UUID
    clinic_id: UUID
    created_at: int
    profile: Profile


class ClinicianRow(msgspec.Struct, frozen=True):
    id: UUID
    clinic_id: UUID
    created_at: int
    profile: Profile


_encode = msgspec.json.encode
_profile = msgspec.json.Decoder(Profile)

# clinics

_ADD_CLINIC = sql("INSERT INTO clinics (id, name, site, created_at, stamp) VALUES (:id, :name, :site, :now, :stamp)")
_CLINIC = sql("SELECT id, name, site, created_at, stamp FROM clinics WHERE id = :id")
_CLINICS = sql("SELECT id, name, site, created_at, stamp FROM clinics ORDER BY name {collate}, id")


def add_clinic(tx: Tx, clinic: ClinicRow) -> None:
    stamp = tx.vault.stamp(bind("clinics", 1, clinic.id.bytes, clinic.name, clinic.site, micros(tx.now)))
    tx.run(_ADD_CLINIC, id=clinic.id.bytes, name=clinic.name, site=clinic.site, now=micros(tx.now), stamp=stamp)


def _clinic(tx: Tx, row: Row) -> ClinicRow:
    clinic = ClinicRow(UUID(bytes=bytes(row[0])), row[1], row[2])
    tx.vault.check(clinic.id, bind("clinics", 1, clinic.id.bytes, row[1], row[2], row[3]), bytes(row[4]))
    return clinic


def clinic(tx: Tx, clinic_id: UUID) -> ClinicRow | None:
    row = tx.one(_CLINIC, id=clinic_id.bytes)
    return None if row is None else _clinic(tx, row)


def clinics(tx: Tx) -> list[ClinicRow]:
    return [_clinic(tx, row) for row in tx.all(_CLINICS)]


# clinicians

_ADD_CLINICIAN = sql("INSERT INTO clinicians (id, clinic_id, created_at, sealed) VALUES (:id, :clinic, :created, :sealed)")
_CLINICIAN = sql("SELECT id, clinic_id, created_at, sealed FROM clinicians WHERE id = :id")
_CLINICIAN_TO_CHANGE = sql("SELECT id, clinic_id, created_at, sealed FROM clinicians WHERE id = :id {lock}")
_COLLEAGUES = sql("SELECT id, clinic_id, created_at, sealed FROM clinicians WHERE clinic_id = :clinic ORDER BY id")
_RESEAL_CLINICIAN = sql("UPDATE clinicians SET sealed = :sealed WHERE id = :id")
_ALL_CLINICIANS = sql("SELECT id, clinic_id, created_at, sealed FROM clinicians ORDER BY clinic_id, id")


def bound_clinician(row: Row) -> bytes:
    """The seal's binding of (id, clinic_id, created_at)."""
    return bind("clinicians", 1, bytes(row[0]), bytes(row[1]), row[2])


def _clinician(tx: Tx, row: Row) -> ClinicianRow:
    owner = UUID(bytes=bytes(row[0]))
    plain = tx.vault.open(owner, bound_clinician(row), bytes(row[3]))
    return ClinicianRow(owner, UUID(bytes=bytes(row[1])), row[2], _profile.decode(plain))


def _seal_clinician(tx: Tx, clinician: ClinicianRow) -> bytes:
    bound = bound_clinician((clinician.id.bytes, clinician.clinic_id.bytes, clinician.created_at))
    return tx.vault.seal(clinician.id, bound, _encode(clinician.profile))


def add_clinician(tx: Tx, clinician: ClinicianRow) -> None:
    tx.vault.create(clinician.id)
    tx.run(
        _ADD_CLINICIAN,
        id=clinician.id.bytes,
        clinic=clinician.clinic_id.bytes,
        created=clinician.created_at,
        sealed=_seal_clinician(tx, clinician),
    )


def set_clinician(tx: Tx, clinician: ClinicianRow, profile: Profile) -> ClinicianRow:
    changed = msgspec.structs.replace(clinician, profile=profile)
    tx.run(_RESEAL_CLINICIAN, id=clinician.id.bytes, sealed=_seal_clinician(tx, changed))
    return changed


def clinician(tx: Tx, clinician_id: UUID) -> ClinicianRow | None:
    row = tx.one(_CLINICIAN, id=clinician_id.bytes)
    return None if row is None else _clinician(tx, row)


def clinician_to_change(tx: Tx, clinician_id: UUID) -> ClinicianRow | None:
    """As ``clinician``, and whoever else would change her waits."""
    row = tx.one(_CLINICIAN_TO_CHANGE, id=clinician_id.bytes)
    return None if row is None else _clinician(tx, row)


def colleagues(tx: Tx, clinic_id: UUID) -> list[ClinicianRow]:
    return [_clinician(tx, row) for row in tx.all(_COLLEAGUES, clinic=clinic_id.bytes)]


def clinicians(tx: Tx) -> list[ClinicianRow]:
    return [_clinician(tx, row) for row in tx.all(_ALL_CLINICIANS)]


# patients

_ADD_PATIENT = sql(
    "INSERT INTO patients (patient_id, clinic_id, created_at, sealed) VALUES (:id, :clinic, :created, :sealed)"
)
_PATIENT = sql("SELECT patient_id, clinic_id, created_at, sealed FROM patients WHERE patient_id = :id")
_PATIENTS = sql("SELECT patient_id, clinic_id, created_at, sealed FROM patients ORDER BY patient_id")
_RESEAL_PATIENT = sql("UPDATE patients SET sealed = :sealed WHERE patient_id = :id")


def bound_patient(row: Row) -> bytes:
    """The seal's binding of (patient_id, clinic_id, created_at)."""
    return bind("patients", 1, bytes(row[0]), bytes(row[1]), row[2])


def _patient(tx: Tx, row: Row) -> PatientRow:
    owner = UUID(bytes=bytes(row[0]))
    plain = tx.vault.open(owner, bound_patient(row), bytes(row[3]))
    return PatientRow(owner, UUID(bytes=bytes(row[1])), row[2], _profile.decode(plain))


def _seal_patient(tx: Tx, patient: PatientRow) -> bytes:
    bound = bound_patient((patient.id.bytes, patient.clinic_id.bytes, patient.created_at))
    return tx.vault.seal(patient.id, bound, _encode(patient.profile))


def add_patient(tx: Tx, patient: PatientRow) -> None:
    tx.vault.create(patient.id)
    tx.run(
        _ADD_PATIENT,
        id=patient.id.bytes,
        clinic=patient.clinic_id.bytes,
        created=patient.created_at,
        sealed=_seal_patient(tx, patient),
    )


def patient(tx: Tx, patient_id: UUID) -> PatientRow | None:
    row = tx.one(_PATIENT, id=patient_id.bytes)
    return None if row is None else _patient(tx, row)


def patients(tx: Tx) -> list[PatientRow]:
    return [_patient(tx, row) for row in tx.all(_PATIENTS)]


def set_profile(tx: Tx, patient: PatientRow, profile: Profile) -> PatientRow:
    changed = msgspec.structs.replace(patient, profile=profile)
    tx.run(_RESEAL_PATIENT, id=patient.id.bytes, sealed=_seal_patient(tx, changed))
    return changed


# repeats of a POST: the key's hash, what it made, never a secret

_REPEAT = sql("SELECT digest, made_id, created_at, stamp FROM repeats WHERE key = :key AND created_at > :since")
_KEEP_REPEAT = sql(
    "INSERT INTO repeats (key, digest, made_id, created_at, stamp) VALUES (:key, :digest, :made, :now, :stamp) "
    "ON CONFLICT DO NOTHING"
)
_FORGET_REPEATS = sql("DELETE FROM repeats WHERE created_at <= :before")


def repeat(tx: Tx, key: bytes, since: int) -> tuple[bytes, UUID] | None:
    row = tx.one(_REPEAT, key=key, since=since)
    if row is None:
        return None
    made = UUID(bytes=bytes(row[1]))
    tx.vault.check(made, bind("repeats", 1, key, bytes(row[0]), made.bytes, row[2]), bytes(row[3]))
    return bytes(row[0]), made


def keep_repeat(tx: Tx, key: bytes, digest: bytes, made: UUID) -> bool:
    """Whether this unit is the first with the key."""
    now = micros(tx.now)
    stamp = tx.vault.stamp(bind("repeats", 1, key, digest, made.bytes, now))
    return tx.run(_KEEP_REPEAT, key=key, digest=digest, made=made.bytes, now=now, stamp=stamp) == 1


def forget_repeats(tx: Tx, before: int) -> None:
    tx.run(_FORGET_REPEATS, before=before)
