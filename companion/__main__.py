"""The command line: which commands there are and how any of them ends. Loads a command's module only when it is called."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import click

COMMANDS = {
    "demo": ("demo", "demo", "A clinic in one command, with people and data, to look at."),
    "serve": ("serving", "serve", "Serve the API and send nudges."),
    "worker": ("serving", "worker", "Send nudges only; serve no API."),
    "migrate": ("storing", "migrate", "Bring the database to this version's schema."),
    "backup": ("storing", "backup", "Save the data, and with --keys the keys, into files."),
    "restore": ("storing", "restore", "Put a backup where nothing lies yet."),
    "epoch": ("epochs", "epoch", "Tell phones that the service was put back to an earlier state."),
    "verify": ("verifying", "verify", "Open every row and walk every chain."),
    "doctor": ("doctoring", "doctor", "Check what the service stands on; each line says the fix."),
    "import": ("importing", "import_", "Import a diary from a file."),
    "clinic": ("people", "clinic", "Add and list clinics."),
    "clinician": ("people", "clinician", "Add and list clinicians; give one a sign-in code."),
    "patient": ("people", "patient", "Add and list patients."),
    "invite": ("people", "invite", "Make a sign-in code for a patient's phone."),
    "token": ("people", "token", "Make a token for a patient's device or a clinician."),
    "openapi": ("documents", "openapi", "Print the API's description."),
    "bench": ("bench", "bench", "Measure this machine's rates, as ratios."),
}
"""Name of the command: module in ``commands``, name in it, one line for ``--help``."""


class Commands(click.Group):
    """A group that imports a command when it is run, so that ``--help`` and errors are quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module = f"{__package__}.commands.{place[0]}"
        if importlib.util.find_spec(module) is None:
            raise click.ClickException(f"{cmd_name} is not part of this installation")
        found = getattr(importlib.import_module(module), place[1])
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, place[2]) for name, place in COMMANDS.items()])


_CONTEXT: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 110,
    "auto_envvar_prefix": "COMPANION",
}


@click.command(cls=Commands, context_settings=_CONTEXT)
@click.version_option(version("companion-iop"), prog_name="companion")
def cli() -> None:
    """Companion: the backend of an Intensive Outpatient Program.

    Every option has an environment variable; the option wins. For a setting and for --json it is COMPANION_ and the name,
    for any other the command stands between (COMPANION_DEMO_PORT). Exit codes: 0 done, 1 not done or a fault found, 2 the
    command was not understood.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code."""
    from .commands import output

    color: dict[str, Any] = {"color": False} if os.environ.get("NO_COLOR") else {}
    try:
        answer = cli.main(list(arguments), prog_name="companion", standalone_mode=False, **color)
    except click.exceptions.Abort:
        return output.failed("stopped", arguments)
    except click.UsageError as error:
        error.show()
        return 2
    except click.ClickException as error:
        return output.failed(error.format_message(), arguments)
    except output.expected() as error:
        return output.failed(output.words(error), arguments)
    return answer if isinstance(answer, int) else 0


if __name__ == "__main__":
    main()
