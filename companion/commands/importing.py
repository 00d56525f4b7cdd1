"""Importing a diary from a file: the whole file is checked first, and nothing is stored while a line of it is wrong."""

from pathlib import Path
from typing import Any
from uuid import UUID

import click

from ..core.clock import SystemClock
from ..logs import changing, service, sheet
from ..settings import Settings
from . import operating, options, output

_SHOWN = 20
_CHUNK = 200


@click.group("import")
def import_() -> None:
    """Import what people wrote elsewhere."""


@import_.command("diary")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--map", "map_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--patient", type=click.UUID, required=True, help="Whose diary it is.")
@options.as_json
@options.takes(*options.STORAGE)
def diary(settings: Settings, file: Path, map_file: Path, patient: UUID, as_json: bool) -> int:
    """Import a CSV diary by a mapping file. Importing it again changes nothing."""
    rows, complaints = read(file, map_file, patient)
    if complaints:
        shown = [f"line {one.line}: {one.field}: {one.code}" for one in complaints[:_SHOWN]]
        more = len(complaints) - len(shown)
        text = "\n".join([*shown, *([f"and {more} more"] if more > 0 else []), "nothing was imported"])
        output.show(as_json, {"imported": 0, "unchanged": 0, "refused": complaints}, text)
        return 1
    created = 0
    chosen = options.existing(settings)
    for start in range(0, len(rows), _CHUNK):
        chunk = [(row.log_id, row.entry) for row in rows[start : start + _CHUNK]]
        created += operating.write(chosen, service.take_in, patient, chunk)
    result: dict[str, Any] = {"imported": created, "unchanged": len(rows) - created, "refused": []}
    output.show(as_json, result, f"{created} entries imported, {len(rows) - created} were there already")
    return 0


def read(file: Path, map_file: Path, patient: UUID) -> tuple[list[sheet.Row], list[sheet.Complaint]]:
    """The entries of a file and what is wrong with it, by a mapping file."""
    try:
        chosen = sheet.read_map(map_file.read_text("utf-8"))
        when = changing.window(SystemClock().now())
        return sheet.entries(file.read_text("utf-8"), chosen, patient, when.first, when.last)
    except UnicodeDecodeError as error:
        raise click.ClickException("the file and its map must be UTF-8 text") from error
    except sheet.BadMap as error:
        raise click.ClickException(str(error)) from error
