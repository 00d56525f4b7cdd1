"""``companion demo``: a clinic with made-up people in one command; the story ticks off what the service promises."""

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import click
import msgspec

from ..demo import live, stage, ticks
from . import options, output

_MARKS = {True: "✓", False: "✗"}


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="Port; without it 8000 or a free one.")
@click.option("--exit", "leave", is_flag=True, help="Tell the story and end: 0 if every promise held, else 1.")
@click.option("--credentials", type=click.Path(dir_okay=False, path_type=Path), help="Write addresses and tokens here.")
@click.option("--diary", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A person's diary (CSV).")
@click.option("--map", "map_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its mapping file.")
@options.as_json
def demo(
    port: int | None, leave: bool, credentials: Path | None, diary: Path | None, map_file: Path | None, as_json: bool
) -> int:
    """Start a clinic of made-up people in a temporary folder, tell the story, and stay up to be tried.

    Everything is made up, and deleted when the demo ends.
    """
    if (diary is None) != (map_file is None):
        raise click.UsageError("--diary and --map go together")
    if credentials is not None:
        _clear(credentials)
    with tempfile.TemporaryDirectory(prefix="companion-demo-") as folder:
        play = Play(Path(folder), stage.free_port(port), as_json)
        try:
            return asyncio.run(play.run(leave, credentials, diary, map_file))
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise click.Abort from None


class Play:
    """One run of the demo, and how it is shown."""

    def __init__(self, folder: Path, port: int, as_json: bool) -> None:
        self._folder = folder
        self._port = port
        self._json = as_json

    def say(self, text: str) -> None:
        if not self._json:
            click.echo(text)

    async def run(self, leave: bool, credentials: Path | None, diary: Path | None, map_file: Path | None) -> int:
        _cancelled_by_signals()
        with self._progress() as progress:
            scene = stage.Stage(self._folder, self._port, progress)
            try:
                await _whole(scene.begin())
                await scene.write_diaries()
                imported = 0 if diary is None or map_file is None else await scene.take_diary(diary, map_file)
            except BaseException:
                await scene.end()
                raise
        try:
            return await self._tell(scene, leave, credentials, imported)
        finally:
            await scene.end()

    async def _tell(self, scene: stage.Stage, leave: bool, credentials: Path | None, imported: int) -> int:
        self.say(f"Companion demo — made-up people, kept in {self._folder} until the demo ends\n")
        told = await ticks.tell(ticks.ON_STAGE, scene, self._tick)
        await scene.clear()
        scene.open_for_visitors()
        if credentials is not None:
            _write(credentials, msgspec.json.encode(scene.credentials()))
        told += await ticks.tell(ticks.BESIDE, scene, self._tick)
        if imported:
            self.say(f" {_MARKS[True]} {imported} entries of a real diary imported")
        broken = [one.name for one in told if not one.held]
        if self._json:
            output.show(True, {"ticks": told, "imported": imported, "broken": broken, **scene.credentials()}, "")
        if broken:
            click.echo(f"companion: broken: {', '.join(broken)}", err=True)
        if leave or broken:
            return 1 if broken else 0
        self.say(_addresses(scene))
        await self._stay(scene)
        return 0

    def _tick(self, one: ticks.Told) -> None:
        self.say(f" {_MARKS[one.held]} {one.seen}")

    async def _stay(self, scene: stage.Stage) -> None:
        """Stay up, with an entry now and then, until told to stop."""
        with contextlib.suppress(asyncio.CancelledError):
            await live.write_now_and_then(scene, self.say)

    @contextlib.contextmanager
    def _progress(self) -> Generator[Callable[[str, int, int], None]]:
        """A bar for a person at a terminal, silence for anyone else."""
        if self._json or not sys.stderr.isatty():
            yield _silent
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bars:
            known: dict[str, Any] = {}

            def show(what: str, done: int, whole: int) -> None:
                if what not in known:
                    known[what] = bars.add_task(what, total=whole)
                bars.update(known[what], completed=done)

            yield show


async def _whole(opening: Coroutine[Any, Any, None]) -> None:
    """Cancelled, it still opens everything first: what is half open cannot be closed in order."""
    task = asyncio.ensure_future(opening)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _cancelled_by_signals() -> None:
    """SIGINT and SIGTERM cancel what runs, at any moment of the story: so the folder and the servers go too."""
    playing = asyncio.current_task()
    assert playing is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)


def _clear(file: Path) -> None:
    """A program may be waiting for the file: one of an earlier demo must not be taken for this one's."""
    if not file.absolute().parent.is_dir():
        raise click.UsageError(f"--credentials: there is no folder {file.parent}")
    file.unlink(missing_ok=True)


def _write(file: Path, record: bytes) -> None:
    """Whole or not at all, and for this user only."""
    draft = file.with_name(f".{file.name}.draft")
    draft.touch(0o600)
    draft.write_bytes(msgspec.json.format(record, indent=2))
    draft.replace(file)


def _silent(what: str, done: int, whole: int) -> None:
    """No bar."""


def _addresses(scene: stage.Stage) -> str:
    url = scene.service.url
    return f"""
 API    {url}/docs
 Ana    patient      token {scene.ana.token}
 Ben    patient      token {scene.ben.token}
 Cleo   clinician    token {scene.cleo.token}   (Ana's, with consent)
 Dan    clinician    token {scene.dan.token}   (without consent)
 Fay    patient      writes an entry now and then; Ana's and Ben's days are yours

 curl -H "Authorization: Bearer {scene.ana.token}" "{url}/v1/patients/me/logs?limit=3"
 Data   {scene.database}   (companion verify --database …)

 Ctrl-C ends it and deletes everything.
"""
