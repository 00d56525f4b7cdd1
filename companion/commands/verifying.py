"""Verify from the command line: read only, on one snapshot, beside a running service."""

import click

from ..core import backup
from ..custody import service
from ..custody.service import Fault, Report
from ..settings import Settings
from . import operating, options, output


@click.command()
@options.as_json
@options.takes(*options.STORAGE)
def verify(settings: Settings, as_json: bool) -> int:
    """Open every row and walk every chain; prints each fault with patient and seq, and ends 1 if there is one."""
    options.existing(settings)
    with output.waiting("opening every row"):
        report = _verified(settings)
    output.show(as_json, report, "\n".join([*map(str, report.faults), _summary(report)]))
    return 0 if report.ok else 1


def _verified(settings: Settings) -> Report:
    path = settings.sqlite_path
    damage: list[str] = []
    if path is not None:
        options.current(path)
        damage = [fault for file in (path, settings.keys_path) if file.exists() for fault in backup.faults(file)]
    report = operating.look(settings, service.verify)
    report.faults += [Fault("the file", fault) for fault in damage]
    report.ok = not report.faults
    return report


def _summary(report: Report) -> str:
    rows = sum(report.rows.values())
    parts = ", ".join(f"{count:,} {name}" for name, count in report.rows.items() if count)
    verdict = "everything is as it was written" if report.ok else f"FAULTS: {len(report.faults):,}"
    spare = f"; {report.spare_keys:,} keys belong to nobody (erased, or never used)" if report.spare_keys else ""
    return f"opened {rows:,} rows of {report.patients:,} patients ({parts}{spare}): {verdict}"
