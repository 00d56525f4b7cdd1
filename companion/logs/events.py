"""What happens to the diary, for ``reactions.py``. Ids and clear columns only, no diary text."""

from datetime import date
from uuid import UUID

import msgspec


class LogRecorded(msgspec.Struct, frozen=True):
    """An entry was created, corrected or deleted."""

    patient: UUID
    log: UUID
    revision: int
    kind: str
    day: date
    deleted: bool
