"""What happens to people, for ``reactions.py``. Ids only."""

from uuid import UUID

import msgspec


class ZoneChanged(msgspec.Struct, frozen=True):
    """A patient's zone is another one now."""

    patient: UUID
