"""THE list of tables: what binds each row, whose key seals it, what a patient owns. A test holds it to the schema.

A row is proved by ``sealed`` (its owner's key) or by ``stamp`` (the master key), over ``columns`` in this order, version 1.
``current`` stands outside, for it changes: it must be 1 on the highest revision and 0 on the others.
"""

from collections.abc import Mapping

import msgspec


class Table(msgspec.Struct, frozen=True):
    """One table. ``owners``: of these columns the first that is not null names the owner; none: the row has a stamp.

    ``key`` names a row by columns that are no text (default: the first); ``unbound`` are the columns outside the proof.
    ``refers`` are (column, table) of rows that must be there, ``within`` the same among the patient's own.
    """

    name: str
    columns: tuple[str, ...]
    owners: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    unbound: tuple[str, ...] = ()
    refers: tuple[tuple[str, str], ...] = ()
    within: tuple[tuple[str, str], ...] = ()
    chained: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return self.key or self.columns[:1]

    @property
    def proof(self) -> str:
        """The column that proves the others."""
        return "sealed" if self.owners else "stamp"

    def named(self, row: Mapping[str, object]) -> str | None:
        """What names one of several rows of its owner, in hexadecimal."""
        ids = (row.get(column) for column in self.keys if column != "patient_id")
        return next((found.hex() for found in ids if isinstance(found, bytes)), None)

    @property
    def by_patient(self) -> bool:
        """Whether it is read patient by patient."""
        return len(self.keys) > 1


OF_PATIENT = ("patient_id", "patients")

TABLES = (
    Table("clinics", ("id", "name", "site", "created_at")),
    Table("clinicians", ("id", "clinic_id", "created_at"), ("id",), refers=(("clinic_id", "clinics"),)),
    Table("patients", ("patient_id", "clinic_id", "created_at"), ("patient_id",), refers=(("clinic_id", "clinics"),)),
    Table("feeds", ("patient_id", "epoch", "seq", "floor", "head"), refers=(OF_PATIENT,)),
    Table(
        "tokens",
        (
            "hash",
            "id",
            "kind",
            "patient_id",
            "clinician_id",
            "clinic_id",
            "device_id",
            "scopes",
            "created_at",
            "expires_at",
            "revoked_at",
        ),
        ("patient_id", "clinician_id"),
        refers=(OF_PATIENT, ("clinician_id", "clinicians"), ("clinic_id", "clinics")),
    ),
    Table(
        "invites",
        (
            "code_hash",
            "id",
            "patient_id",
            "author_id",
            "created_at",
            "expires_at",
            "used_at",
            "device_id",
            "token_hash",
        ),
        ("patient_id",),
        refers=(OF_PATIENT,),
    ),
    Table(
        "codes",
        ("code_hash", "clinician_id", "created_at", "expires_at", "used_at"),
        refers=(("clinician_id", "clinicians"),),
    ),
    Table("repeats", ("key", "digest", "made_id", "created_at")),
    Table(
        "consents",
        (
            "patient_id",
            "id",
            "revision",
            "seq",
            "recipient",
            "from_at",
            "until_at",
            "revoked_at",
            "recorded_at",
        ),
        ("patient_id",),
        ("patient_id", "seq", "id"),
        ("current",),
        chained=True,
    ),
    Table(
        "disclosures",
        ("patient_id", "seq", "id", "at", "recipient", "consent_id"),
        ("patient_id",),
        ("patient_id", "seq", "id"),
        chained=True,
    ),
    Table(
        "logs",
        (
            "patient_id",
            "at",
            "id",
            "revision",
            "seq",
            "kind",
            "zone",
            "day",
            "source",
            "author_id",
            "recorded_at",
            "skew",
            "deleted",
        ),
        ("patient_id",),
        ("patient_id", "seq", "id"),
        ("current",),
        chained=True,
    ),
    Table(
        "pushes",
        ("patient_id", "device_id", "last_n", "first_n", "recorded_at"),
        ("patient_id",),
        ("patient_id", "device_id", "last_n"),
        refers=(OF_PATIENT,),
    ),
    Table(
        "plans",
        ("patient_id", "id", "revision", "seq", "author_id", "recorded_at", "deleted"),
        ("patient_id",),
        ("patient_id", "seq", "id"),
        ("current", "extend_at"),
        chained=True,
    ),
    Table(
        "endpoints",
        ("patient_id", "id", "channel", "state", "created_at"),
        ("patient_id",),
        ("patient_id", "id"),
    ),
    Table(
        "nudges",
        (
            "patient_id",
            "due_at",
            "id",
            "plan_id",
            "plan_revision",
            "slot",
            "day",
            "zone",
            "kind",
            "window_end",
            "state",
            "attempt",
            "sent_at",
        ),
        ("patient_id",),
        ("patient_id", "due_at", "id"),
        ("next_try_at", "lease_owner"),
    ),
    Table(
        "deliveries",
        ("patient_id", "nudge_id", "attempt", "at", "endpoint_id", "channel", "outcome", "status"),
        ("patient_id",),
        ("patient_id", "nudge_id", "attempt"),
        within=(("nudge_id", "nudges"),),
    ),
)

UNPROVED = {
    ("beats", "name"): "names of the service's own heartbeats; nobody's data, written again at the next beat. Without "
    "`restored`, from a restore to the first start, phones learn of it by `companion epoch raise` or a cursor past the feed",
    ("beats", "at"): "when the service last did something; nobody's data; a time in the future is found by doctor",
    ("plans", "extend_at"): "when the service next works on the plan; that it is null where work remains is found",
    ("nudges", "next_try_at"): "when the service next works on the row; that it is null where work remains is found",
    ("nudges", "lease_owner"): "which process works on the row; another one takes over when the lease ends",
}
"""Columns of which not every change is found, each with the reason why a change there loses and shows nothing."""

BY_NAME = {table.name: table for table in TABLES}
OWNED = tuple(table for table in TABLES if "patient_id" in table.columns)
"""What a patient owns."""
BY_PATIENT = tuple(table for table in TABLES if table.by_patient)
