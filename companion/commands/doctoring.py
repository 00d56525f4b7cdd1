"""Doctor from the command line."""

import click

from ..core.clock import SystemClock
from ..settings import Settings
from . import checks, options, output


@click.command()
@options.as_json
@options.takes(*options.STORAGE)
def doctor(settings: Settings, as_json: bool) -> int:
    """Check what the service stands on: a line for each thing, with the fix; ends 1 if something is bad."""
    with output.waiting("looking"):
        found = checks.examine(settings, SystemClock())
    record = {"ok": all(one.ok for one in found), "checks": found}
    output.show(as_json, record, "\n".join(map(str, found)))
    return 0 if record["ok"] else 1
