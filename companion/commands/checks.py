"""What doctor looks at: each check is a function of settings and clock that finds one thing right or wrong, with the fix.

A check never changes anything. What cannot be looked at because of something before it is wrong as well.
"""

import shutil
import smtplib
import sqlite3
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from ..core import migrations, sqlite
from ..core.clock import Clock
from ..core.errors import Problem, StartUpError
from ..core.vault import KeyMissing, SealBroken
from ..custody import service as custody
from ..custody.service import Times
from ..post.channels.email import Server
from ..settings import Settings
from . import operating

FREE_BYTES = 500 * 1024 * 1024
FREE_SHARE = 0.05
STALE = timedelta(seconds=30)
BACKUP_EVERY = timedelta(hours=26)
EARLIEST, LATEST = 2026, 2100
SMTP_SECONDS = 5.0
_UNKNOWN = ("not known, for the database cannot be asked", "mend what is above first")


class Finding(msgspec.Struct, frozen=True):
    """One line: what was looked at, whether it is right, what was seen, and what to do."""

    check: str
    ok: bool
    seen: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{'ok ' if self.ok else 'BAD'} {self.check}: {self.seen}{f' — {self.fix}' if self.fix else ''}"
        return " ".join(line.split())


def times(settings: Settings) -> Times | None:
    """What the database knows; None if it cannot be asked (another check says why)."""
    try:
        return operating.look(settings, custody.times)
    except (StartUpError, Problem, SealBroken, KeyMissing, sqlite3.Error, OSError, OverflowError):
        return None


def key(settings: Settings) -> Finding:
    """The key file is there, nobody else can read it, and it is the one these keys were made with."""
    path = settings.key_path
    if not path.exists():
        return Finding("key", False, f"{path} is missing", "put the key file back from where it was kept, then chmod 600 it")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding("key", False, f"{path} has mode {mode:04o}", f"run chmod 600 {path}")
    try:
        operating.open_vault(settings).close()
    except (StartUpError, sqlite3.Error) as error:
        return Finding("key", False, str(error), "restore the keys database and the key file that belong together")
    return Finding("key", True, f"{path} has mode {mode:04o} and fits the keys")


def schema(settings: Settings) -> Finding:
    """The database is there and of this code's version."""
    known = len(migrations.read())
    try:
        version = _version(settings)
    except (StartUpError, OSError) as error:
        return Finding("schema", False, str(error), "check COMPANION_DATABASE, or restore a backup")
    if version is None:
        return Finding("schema", False, "there is no database", "check COMPANION_DATABASE, or run companion migrate")
    if version < known:
        return Finding("schema", False, f"version {version}, the code has {known}", "run companion migrate")
    if version > known:
        return Finding("schema", False, f"version {version}, the code has {known}", "upgrade Companion")
    return Finding("schema", True, f"version {version}")


def _version(settings: Settings) -> int | None:
    path = settings.sqlite_path
    if path is not None:
        return sqlite.version_untouched(path) if path.exists() and path.stat().st_size else None
    from ..core import postgres_server

    with postgres_server.opened(settings.database) as connection:
        return postgres_server.version(connection) or None


def disk(settings: Settings, free: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage) -> Finding:
    """Where the database (on PostgreSQL: the key file) lies there is room."""
    folder = (settings.sqlite_path or settings.key_path).absolute().parent
    total, _, left = free(folder)
    share = left / total if total else 0.0
    seen = f"{left // 1024 // 1024:,} MB ({share:.0%}) free at {folder}"
    if left < FREE_BYTES or share < FREE_SHARE:
        return Finding(
            "disk", False, seen, "free some space or move the database: at less than 500 MB or 5 % writes may fail soon"
        )
    return Finding("disk", True, seen)


def clock(now: datetime, known: Times | None) -> Finding:
    """The clock shows a time that can be, and no earlier one than what is stored."""
    fix = "set the machine's clock, and keep it by NTP (timedatectl set-ntp true)"
    if not EARLIEST <= now.year <= LATEST:
        return Finding("clock", False, f"{now:%Y-%m-%d %H:%M} UTC cannot be", fix)
    if known is not None and known.newest is not None and known.newest > now + timedelta(seconds=5):
        return Finding(
            "clock", False, f"{now:%Y-%m-%d %H:%M:%S} UTC is before the newest entry, {known.newest:%Y-%m-%d %H:%M:%S}", fix
        )
    return Finding("clock", True, f"{now:%Y-%m-%d %H:%M:%S} UTC")


def heartbeat(now: datetime, known: Times | None) -> Finding:
    """Something sends nudges."""
    if known is None:
        return Finding("heartbeat", False, *_UNKNOWN)
    fix = "start companion serve, or companion worker where serve runs with --no-scheduler"
    last = known.beats.get("heartbeat")
    if last is None:
        return Finding("heartbeat", False, "never beat: no nudge is sent", fix)
    if now - last > STALE:
        return Finding("heartbeat", False, f"last beat {now - last} ago: no nudge is sent", fix)
    return Finding("heartbeat", True, f"last beat {(now - last).total_seconds():.0f} s ago")


def smtp(settings: Settings) -> Finding:
    """The mail server of the settings answers."""
    if not settings.smtp_url:
        return Finding("smtp", True, "no mail server is set: e-mail nudges are off")
    fix = "check COMPANION_SMTP_URL and that the server can be reached from here"
    try:
        server = Server.of(settings.smtp_url)
        with _connected(server) as mail:
            code, _ = mail.noop()
    except (StartUpError, OSError, ValueError, smtplib.SMTPException) as error:
        return Finding("smtp", False, f"{type(error).__name__}: {error}", fix)
    if code != 250:
        return Finding("smtp", False, f"{server.host} answered {code}", fix)
    return Finding("smtp", True, f"{server.host} port {server.port} answers")


def _connected(server: Server) -> smtplib.SMTP:
    if server.tls:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=SMTP_SECONDS, context=ssl.create_default_context())
    mail = smtplib.SMTP(server.host, server.port, timeout=SMTP_SECONDS)
    mail.ehlo()
    return mail


def backup(now: datetime, known: Times | None) -> Finding:
    """The data was saved within a day or so, and the keys after it."""
    if known is None:
        return Finding("backup", False, *_UNKNOWN)
    fix = "run companion backup FILE --keys FILE every day"
    data, keys = known.beats.get("backup"), known.beats.get("backup-keys")
    if data is None:
        if known.first is None or now - known.first < BACKUP_EVERY:
            return Finding("backup", True, "none yet, and nobody was here for longer than a day", fix)
        return Finding("backup", False, "the data was never saved", fix)
    if now - data > BACKUP_EVERY:
        return Finding("backup", False, f"the data was last saved {_ago(now - data)} ago", fix)
    if keys is None or keys < data:
        seen = (
            "the keys were never saved"
            if keys is None
            else f"the keys were last saved {_ago(now - keys)} ago, before the data"
        )
        return Finding(
            "backup", False, seen, "run companion backup FILE --keys FILE: entries of newer people would not open"
        )
    return Finding("backup", True, f"data saved {_ago(now - data)} ago, keys after it")


def _ago(span: timedelta) -> str:
    return f"{span.days} d" if span.days >= 2 else f"{span.total_seconds() / 3600:.1f} h"


def engine(settings: Settings) -> Finding:
    """Which database engine this is."""
    if settings.sqlite_path is None:
        return Finding("engine", True, "PostgreSQL")
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < (3, 51, 3):
        seen = f"SQLite {version}: two checkpoints at once could damage a file, which the lock beside the database prevents"
        return Finding("engine", True, seen, "never open the database for writing with another program")
    return Finding("engine", True, f"SQLite {version}")


def examine(settings: Settings, time: Clock) -> list[Finding]:
    """Every check, in the order in which to mend."""
    known = times(settings)
    now = time.now()
    return [
        key(settings),
        schema(settings),
        engine(settings),
        disk(settings),
        clock(now, known),
        heartbeat(now, known),
        smtp(settings),
        backup(now, known),
    ]
