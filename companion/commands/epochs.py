"""Raising epochs from the command line: for a database that was put back by anything else than ``companion restore``."""

from uuid import UUID

import click

from ..core.db import Database
from ..logs import jobs, sync
from ..settings import Settings
from . import operating, options, output


@click.group()
def epoch() -> None:
    """Tell phones that the service was put back to an earlier state."""


@epoch.command("raise")
@click.option("--patient", type=click.UUID, help="Only this patient's phones.")
@options.as_json
@options.takes(*options.STORAGE)
def raise_(settings: Settings, patient: UUID | None, as_json: bool) -> int:
    """Let every phone fetch everything anew and give back what the service lost.

    After `companion restore` this happens by itself. Run it when the database was put back in any other way: a copied file,
    a disk's snapshot, a replica that was behind.
    """

    async def work(db: Database) -> dict[UUID, int | None]:
        chosen = await db.read(operating.OPERATOR, sync.everybody) if patient is None else [patient]
        return await jobs.raise_epochs(db, operating.OPERATOR, chosen)

    raised = operating.run(options.existing(settings), work)
    rows = [{"patient_id": str(one), "epoch": epoch} for one, epoch in raised.items()]
    broken = [str(one) for one, epoch in raised.items() if epoch is None]
    lines = [f"raised: {len(raised) - len(broken):,}"]
    lines += [f"not raised, its chain was changed (run companion verify): {one}" for one in broken]
    output.show(as_json, {"items": rows}, "\n".join(lines))
    return 1 if broken else 0
