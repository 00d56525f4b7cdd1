"""What is done with all diaries: old tombstones leave the feeds, devices are told of a restore. One patient a unit.

Any number of processes may do the same at once. Knows no scheduler and no command line.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from ..core import beats
from ..core.actors import Caller, System
from ..core.db import Database
from ..core.errors import NotFound
from ..core.vault import SealBroken
from . import sync

PURGE = System("purge")
RESTORE = System("restored")
EVERY = 24 * 60 * 60.0
"""Seconds between two purges."""
AFTER_TROUBLE = 60 * 60.0
"""Seconds until one that failed is tried again."""
BITE = 32
_AT_ONCE = 64


async def step(db: Database) -> bool:
    """Purge up to ``BITE`` patients; whether there may be more. Whose chain another hand changed is passed by."""
    purged = 0
    for patient in await db.read(PURGE, sync.to_purge):
        with suppress(SealBroken, NotFound):
            purged += await db.write(PURGE, sync.purge, patient)
        if purged == BITE:
            break
    return purged > 0


async def raise_epochs(
    db: Database, caller: Caller, patients: Sequence[UUID], epoch: int | None = None
) -> dict[UUID, int | None]:
    """Raise the epoch of each; the new one, or None for a chain that another hand changed: nothing of it is served."""
    raised: dict[UUID, int | None] = {}
    for start in range(0, len(patients), _AT_ONCE):
        some = patients[start : start + _AT_ONCE]
        units = (db.write(caller, sync.raise_epoch, patient, epoch) for patient in some)
        for patient, outcome in zip(some, await asyncio.gather(*units, return_exceptions=True), strict=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, SealBroken):
                raise outcome
            raised[patient] = outcome if isinstance(outcome, int) else None
    return raised


async def after_restore(db: Database) -> int:
    """Tell devices if a backup was put back since the database was last opened; how many patients there were.

    1. Look for the mark that ``companion restore`` leaves in the database; nearly always there is none.
    2. Raise each patient to the epoch that the mark tells. Again is the same, so a start that was cut short is done again,
       and of several that start at once each finds what the others did.
    3. Remove the mark once all are on disk.
    """
    found = await db.read(RESTORE, sync.restored)
    if found is None:
        return 0
    await raise_epochs(db, RESTORE, found.patients, found.epoch)
    await db.write(RESTORE, beats.forget, beats.RESTORED, found.mark)
    return len(found.patients)
