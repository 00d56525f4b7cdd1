"""What every command has in common, and the people's commands."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import click
import msgspec
import pytest
from httpx2 import AsyncClient
from support.cli import Cli, run

from companion import __main__ as program
from companion import settings
from companion.commands import options
from companion.running import Running

NAMES = (
    "demo serve worker migrate backup restore epoch verify import bench openapi doctor clinic clinician patient invite token"
)


def every_command() -> list[tuple[str, click.Command]]:
    """Each command that can be run, with its words."""
    found: list[tuple[str, click.Command]] = []
    context = click.Context(program.cli)
    for name in program.COMMANDS:
        command = program.cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += [(f"{name} {sub}", one) for sub, one in command.commands.items()]
        else:
            found.append((name, command))
    return found


def test_help_lists_every_command_and_loads_none() -> None:
    look = "print([name for name in sys.modules if 'litestar' in name])"
    loads = f"import sys; from companion import __main__ as program; program.run(['--help']); {look}"
    before = time.monotonic()
    done = subprocess.run([sys.executable, "-c", loads], capture_output=True, text=True, check=True)
    assert time.monotonic() - before < 1.0
    assert done.stdout.splitlines()[-1] == "[]"
    listed = [line.split()[0] for line in done.stdout.partition("Commands:")[2].splitlines()[1:-1] if line.strip()]
    assert sorted(listed) == sorted(NAMES.split())


def test_every_command_prints_json_and_has_help() -> None:
    for words, command in every_command():
        assert command.help, words
        assert "--json" in [name for one in command.params for name in one.opts], words


def test_every_option_that_is_a_setting_has_its_variable() -> None:
    fields = {field.name for field in msgspec.structs.fields(settings.Settings)}
    for words, command in every_command():
        for one in command.params:
            if one.name in fields and words != "demo":  # a demo is no service: its port is its own
                assert isinstance(one, click.Option)
                assert options.variable(one.name) in (one.help or ""), (words, one.name)
                assert one.default is None, "the setting's own default counts"


def test_an_option_of_one_command_has_its_variable(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    cli("migrate")
    monkeypatch.setenv("COMPANION_CLINIC_ADD_SITE", "1 North Street")
    monkeypatch.setenv("COMPANION_JSON", "1")
    assert json.loads(cli("clinic", "add", "North"))["site"] == "1 North Street"
    assert "nobody" in json.loads(cli.try_("invite", uuid4()).out)["error"]


def test_an_option_stands_above_the_environment_and_that_above_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    @options.takes("port", "scheduler", "log_level")
    def show(chosen: settings.Settings) -> tuple[int, bool, str]:
        return chosen.port, chosen.scheduler, chosen.log_level

    def called(*arguments: str) -> object:
        return show.main(list(arguments), standalone_mode=False)

    assert called() == (8000, True, "info")
    monkeypatch.setenv("COMPANION_PORT", "9000")
    monkeypatch.setenv("COMPANION_SCHEDULER", "false")
    assert called() == (9000, False, "info")
    assert called("--port", "9001", "--scheduler", "--log-level", "debug") == (9001, True, "debug")


@pytest.mark.parametrize(
    "arguments",
    [["nothing"], ["serve", "--nothing"], ["serve", "--port", "x"], ["clinic", "add"], ["token"], ["invite", "x"]],
)
def test_what_is_not_understood_ends_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.code == 2
    assert "Usage:" in result.err


def test_a_mistyped_path_makes_no_database(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path}/nothing.db"
    for arguments in (["verify"], ["backup", f"{tmp_path}/b"], ["clinic", "list"], ["invite", str(uuid4())]):
        result = run(*arguments, "--database", place, "--json")
        assert result.code == 1
        assert "there is no database" in result.json["error"]
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_cannot_be_read_ends_1_and_names_it() -> None:
    for arguments, words in (
        (["--database", "mysql://x"], "COMPANION_DATABASE"),
        (["--workers", "0"], "COMPANION_WORKERS"),
        (["--port", "99999"], "COMPANION_PORT"),
        (["--port", "-1"], "COMPANION_PORT"),
    ):
        result = run("serve", *arguments)
        assert (result.code, words in result.err) == (1, True)
        assert len(result.err.splitlines()) == 1


def test_output_has_no_colour_and_asks_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "companion", "serve", "--database", "mysql://x"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr


def test_the_api_is_printed_as_one_document() -> None:
    result = run("openapi")
    assert result.code == 0
    assert isinstance(json.loads(result.out), dict)


async def test_people_are_added_beside_a_running_server_and_sign_in(service: Running, http: AsyncClient, cli: Cli) -> None:
    clinic = await cli.beside("clinic", "add", "North", "--site", "1 North Street")
    cleo = await cli.beside("clinician", "add", "Cleo", "--clinic", clinic)
    ana = await cli.beside("patient", "add", "Ana", "--clinic", clinic, "--zone", "America/New_York")
    code = await cli.beside("clinician", "code", cleo)
    signed_in = await http.post("/v1/sign-in", json={"method": "code", "code": code})
    assert signed_in.json()["me"]["clinician_id"] == cleo
    invite = json.loads(await cli.beside("invite", ana, "--json"))
    device = {"name": "phone", "zone": "America/New_York"}
    signed_in = await http.post("/v1/sign-in", json={"method": "invite", "code": invite["code"], "device": device})
    assert signed_in.json()["me"]["patient_id"] == ana == invite["patient_id"]
    for kind, person, role in (("--patient", ana, "patient"), ("--clinician", cleo, "clinician")):
        token = await cli.beside("token", kind, person, "--days", "2")
        me = await http.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert (me.json()["role"], me.json()["id"]) == (role, person)


def test_lists_show_what_was_added(cli: Cli) -> None:
    cli("migrate")
    assert cli.try_("clinic", "list").out == "", "nothing is no line, not an empty one"
    clinic = cli("clinic", "add", "  Cafe\u0301  ", "--site", "1 North Street")
    cleo = cli.json("clinician", "add", "Cleo", "--clinic", clinic)["clinician_id"]
    ana = cli.json("patient", "add", "Ana", "--clinic", clinic, "--zone", "Europe/Zurich")["patient_id"]
    assert cli.json("clinic", "list")["items"] == [{"clinic_id": clinic, "name": "Café", "site": "1 North Street"}]
    assert [item["clinician_id"] for item in cli.json("clinician", "list")["items"]] == [cleo]
    assert cli("patient", "list") == f"{ana}\t{clinic}\tAna\tEurope/Zurich"


def test_who_is_not_there_cannot_be_given_anything(cli: Cli) -> None:
    cli("migrate")
    nobody = str(uuid4())
    for arguments in (
        ["clinician", "add", "Cleo", "--clinic", nobody],
        ["clinician", "code", nobody],
        ["patient", "add", "Ana", "--clinic", nobody, "--zone", "UTC"],
        ["invite", nobody],
        ["token", "--patient", nobody],
        ["token", "--clinician", nobody],
    ):
        result = cli.try_(*arguments)
        assert (result.code, result.out) == (1, ""), arguments
        assert "nobody" in result.err


def test_a_zone_that_does_not_exist_is_named(cli: Cli) -> None:
    cli("migrate")
    clinic = cli("clinic", "add", "North", "--site", "1 North Street")
    result = cli.try_("patient", "add", "Ana", "--clinic", clinic, "--zone", "Mars/Base")
    assert (result.code, result.err) == (1, "companion: zone: unknown-zone\n")


def test_migrate_makes_the_schema_once(cli: Cli, tmp_path: Path) -> None:
    first = run("migrate", "--database", f"sqlite:///{tmp_path}/new.db", "--json").json
    assert first["applied"][0] == "0001_first"
    assert run("migrate", "--database", f"sqlite:///{tmp_path}/new.db", "--json").json == {"applied": []}
    cli("migrate")
    assert cli("migrate") == "the schema is up to date"
