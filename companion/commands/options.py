"""Options that are settings: their names, types and environment variables come from ``settings.py``, the one list."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from .. import settings
from ..core import migrations, sqlite
from ..core.errors import StartUpError

Command = TypeVar("Command", bound=Callable[..., Any])

HELP = {
    "database": "sqlite:///FILE or postgresql://…",
    "keys_database": "Where the wrapped keys lie.",
    "key_file": "The master key's file.",
    "host": "Address to listen on.",
    "port": "Port to listen on; 0 takes a free one.",
    "workers": "Processes that share the port.",
    "scheduler": "Whether to send nudges from here.",
    "log_level": "The least that is logged.",
    "log_format": "Log lines as text or JSON.",
}
CHOICES = {"log_level": ("debug", "info", "warning", "error"), "log_format": ("text", "json")}
STORAGE = ("database", "keys_database", "key_file")
_FIELDS = {field.name: field for field in msgspec.structs.fields(settings.Settings)}

JSON = settings.PREFIX + "JSON"
as_json = click.option("--json", "as_json", is_flag=True, envvar=JSON, help=f"Print one JSON document. [env: {JSON}]")


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return settings.PREFIX + name.upper()


def setting(name: str) -> Callable[[Command], Command]:
    """The option of one setting; unset, the environment and then the default decide."""
    field = _FIELDS[name]
    switch = name.replace("_", "-")
    default = field.default if field.default != "" else None
    text = f"{HELP[name]} [env: {variable(name)}{'' if default is None else f'; default: {default}'}]"
    if field.type is bool:
        return click.option(f"--{switch}/--no-{switch}", name, default=None, help=text)
    kind = click.Choice(CHOICES[name]) if name in CHOICES else field.type
    return click.option(f"--{switch}", name, type=kind, default=None, help=text)


def takes(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the named settings as options, and as its first argument the settings read."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(**values: Any) -> Any:
            chosen = {name: values.pop(name) for name in names}
            return function(settings.read(**chosen), **values)

        for name in reversed(names):
            command = setting(name)(command)
        return command

    return decorate


def existing(chosen: settings.Settings) -> settings.Settings:
    """The settings, if there is a database already: a mistyped path must not become a new, empty clinic."""
    path = chosen.sqlite_path
    if path is not None and not path.exists():
        raise StartUpError(f"there is no database {path}: see --database or COMPANION_DATABASE")
    return chosen


def current(path: Path) -> None:
    """Refuse a SQLite file whose schema is not this code's, without touching it.

    Raises:
        StartUpError: naming it and the fix.
    """
    if migrations.pending(sqlite.version_untouched(path), path.name, migrations.read()):
        raise StartUpError(f"the database {path.name} has an older schema: run companion migrate")
