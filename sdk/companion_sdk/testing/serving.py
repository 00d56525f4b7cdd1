"""The real service for a test, where companion-iop is installed: its own process, a folder that goes with it.

Knows the service by its command line alone.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from uuid import UUID

import msgspec

from companion_sdk._clock import Clock
from companion_sdk.client import AsyncCompanion, Companion

_PREFIX = "COMPANION_"
_START = 30.0
_STOP = 20.0


class ServedService:
    """A running service: ``base_url``, people to speak as, and its operator's commands."""

    def __init__(self, base_url: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.base_url: str = base_url
        self.folder: Path = folder
        self._environment = environment
        self._clinic: UUID | None = None
        self._clients = contextlib.ExitStack()

    def command(self, *arguments: str) -> Mapping[str, object]:
        """What an operator's command answers: ``served.command("epoch", "raise")``."""
        return _command(self._environment, *arguments)

    def clinic(self, name: str, site: str = "Main Street") -> UUID:
        """Add a clinic; its id."""
        return UUID(str(self.command("clinic", "add", name, "--site", site)["clinic_id"]))

    def invite(self, patient: UUID) -> str:
        """A code with which a patient's phone signs in."""
        return str(self.command("invite", str(patient))["code"])

    def patient(self, name: str, *, zone: str = "America/New_York") -> Companion:
        """A new patient, signed in on a phone; closed when the service stops."""
        made = self.command("patient", "add", name, "--clinic", str(self._first_clinic()), "--zone", zone)
        client = self._clients.enter_context(Companion(self.base_url, zone=zone))
        client.sign_in(self.invite(UUID(str(made["patient_id"]))), device=f"{name}'s phone", zone=zone)
        return client

    def clinician(self, name: str) -> Companion:
        """A new clinician, signed in; closed when the service stops."""
        made = self.command("clinician", "add", name, "--clinic", str(self._first_clinic()))
        code = self.command("clinician", "code", str(made["clinician_id"]))["code"]
        client = self._clients.enter_context(Companion(self.base_url))
        client.sign_in_with_code(str(code))
        return client

    def async_patient(self, name: str, *, zone: str = "America/New_York") -> AsyncCompanion:
        """As ``patient``, for asyncio; close it yourself."""
        made = self.command("patient", "add", name, "--clinic", str(self._first_clinic()), "--zone", zone)
        token = self.command("token", "--patient", str(made["patient_id"]))["token"]
        return AsyncCompanion(self.base_url, str(token), zone=zone)

    def close(self) -> None:
        """Close the clients it gave out."""
        self._clients.close()

    def _first_clinic(self) -> UUID:
        if self._clinic is None:
            self._clinic = self.clinic("North", "North Street")
        return self._clinic


@contextlib.contextmanager
def serve(settings: Mapping[str, str] | None = None) -> Generator[ServedService]:
    """Run the real service on this machine for the length of a ``with`` block.

    Example::

        from companion_sdk import Mood
        from companion_sdk.testing import serve

        with serve() as served:
            ana = served.patient("Ana")
            print(ana.logs.record(Mood(mood=4)).revision)

    Args:
        settings: the service's own settings by their short names, such as ``{"log_level": "debug"}``.

    Raises:
        ModuleNotFoundError: companion-iop is not installed here.
        RuntimeError: it did not start; the text holds what it said.
    """
    try:
        version("companion-iop")
    except PackageNotFoundError:
        raise ModuleNotFoundError(
            "testing.serve() runs the real service and needs companion-iop installed; FakeService needs nothing",
            name="companion",
        ) from None
    folder = Path(tempfile.mkdtemp(prefix="companion-"))
    try:
        environment = _environment(folder, settings or {})
        with (
            _running(folder, environment) as base_url,
            contextlib.closing(ServedService(base_url, folder, environment)) as one,
        ):
            yield one
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment, with no setting of a service but those of this one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    ours = {"database": f"sqlite:///{folder / 'companion.db'}", "log_level": "warning", **settings}
    return kept | {_PREFIX + name.upper(): value for name, value in ours.items()}


@contextlib.contextmanager
def _running(folder: Path, environment: Mapping[str, str]) -> Generator[str]:
    said, log = folder / "serve.out", folder / "serve.err"
    with said.open("wb") as out, log.open("wb") as err:
        program = [sys.executable, "-m", "companion", "serve", "--json", "--port", "0"]
        process = subprocess.Popen(program, env=environment, stdout=out, stderr=err)  # noqa: S603
    try:
        yield _announced(process, said, log)
    finally:
        process.terminate()
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _announced(process: "subprocess.Popen[bytes]", said: Path, log: Path) -> str:
    """The address it prints once it listens."""
    clock = Clock()
    late = clock.monotonic() + _START
    while process.poll() is None and clock.monotonic() < late:
        clock.sleep(0.02)
        with contextlib.suppress(msgspec.DecodeError, KeyError):  # it has not said all yet, or said what is wrong
            return str(msgspec.json.decode(said.read_bytes(), type=dict[str, str | int])["url"])
    raise RuntimeError(f"the service did not start: {log.read_text(errors='replace').strip()}")


def _command(environment: Mapping[str, str], *arguments: str) -> Mapping[str, object]:
    program = [sys.executable, "-m", "companion", *arguments, "--json"]
    done = subprocess.run(program, env=environment, capture_output=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise RuntimeError(f"companion {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return msgspec.json.decode(done.stdout, type=dict[str, object])
