"""The command line, run in this process, pointed at an engine's database by its options."""

import asyncio
import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from companion import __main__ as program
from support.engines import Engine


@dataclass
class Result:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Result]


def run(*arguments: object) -> Result:
    """One command."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = program.run([str(argument) for argument in arguments])
    return Result(code, out.getvalue(), err.getvalue())


class Cli:
    """``companion`` on one database."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options

    def try_(self, *arguments: object) -> Result:
        """A command however it ends."""
        given = [part for name, value in self.options.items() for part in (f"--{name.replace('_', '-')}", value)]
        return run(*arguments, *given)

    def __call__(self, *arguments: object) -> str:
        """What a command that must succeed prints."""
        result = self.try_(*arguments)
        assert result.code == 0, (arguments, result)
        return result.out.strip()

    async def beside(self, *arguments: object) -> str:
        """As a call, from a test with an event loop."""
        return await asyncio.to_thread(self, *arguments)

    def json(self, *arguments: object) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def cli(engine: Engine) -> Cli:
    return Cli(engine.options)
