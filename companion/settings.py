"""Every setting of the service: one frozen struct, read once from the environment and options, passed along."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from companion_sdk.clinical import crisis
from companion_sdk.wire import Crisis, CrisisResource

from .core.errors import StartUpError

PREFIX = "COMPANION_"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One field a setting; the environment variable is ``COMPANION_`` and the field in capitals."""

    database: str = "sqlite:///companion.db"
    keys_database: str = ""
    key_file: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    scheduler: bool = True
    log_level: str = "info"
    log_format: str = "text"
    public_url: str = ""
    cors_origins: str = ""
    trusted_proxies: str = ""
    body_timeout: float = 15.0
    header_timeout: float = 10.0
    connections: int = 1000
    anonymous_burst: int = 300
    anonymous_rate: float = 5.0
    caller_rate: float = 2000.0
    nudge_lease: float = 60.0
    nudge_beat: float = 5.0
    egress_allow: str = ""
    smtp_url: str = ""
    mail_from: str = "reminder@companion.invalid"
    crisis_resources: str = ""
    crisis_hours: str = "the next working day"

    @property
    def sqlite_path(self) -> Path | None:
        """The data file of a ``sqlite:///`` database; None for PostgreSQL."""
        if not self.database.startswith("sqlite:///"):
            return None
        return Path(self.database.removeprefix("sqlite:///"))

    @property
    def key_path(self) -> Path:
        """The master key's file: beside the SQLite data unless named."""
        if self.key_file:
            return Path(self.key_file)
        data = self.sqlite_path
        if data is None:
            raise StartUpError("COMPANION_KEY_FILE must name the key file when the database is PostgreSQL")
        return data.with_name(data.name + ".key")

    @property
    def keys_path(self) -> Path:
        """The keys database of a SQLite service: beside the data unless named."""
        if self.keys_database:
            return Path(self.keys_database.removeprefix("sqlite:///"))
        data = self.sqlite_path
        if data is None:
            raise StartUpError("COMPANION_KEYS_DATABASE must name another database for the keys on PostgreSQL")
        return data.with_name(data.name + "-keys.db")

    @property
    def egress_hosts(self) -> frozenset[str]:
        """Hosts that webhooks may reach although they are not public, plain http allowed."""
        return _words(self.egress_allow)

    @property
    def origins(self) -> frozenset[str]:
        """Origins that browsers may call from."""
        return _words(self.cors_origins)

    @property
    def proxies(self) -> frozenset[str]:
        """Addresses whose forwarded headers are believed."""
        return _words(self.trusted_proxies)

    def crisis(self, language: str = "en") -> Crisis:
        """What to show at once to someone in danger: the site's resources and hours, else the usual ones in a language."""
        usual = self.crisis_hours == crisis.usual_hours()
        hours = crisis.usual_hours(language) if usual else self.crisis_hours
        return crisis.crisis(self._resources(language), hours, language=language)

    def _resources(self, language: str) -> tuple[CrisisResource, ...]:
        if not self.crisis_resources:
            return crisis.us_resources(language)
        try:
            return tuple(msgspec.json.decode(self.crisis_resources, type=list[CrisisResource]))
        except msgspec.MsgspecError as error:
            raise StartUpError(f"COMPANION_CRISIS_RESOURCES is not a JSON list of resources: {error}") from error


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(",") if word.strip())


def read(environment: Mapping[str, str] | None = None, **options: object) -> Settings:
    """Settings from the environment, options (those not None) above it.

    Raises:
        StartUpError: naming the variable that cannot be read.
    """
    source = os.environ if environment is None else environment
    names = {field.name: field for field in msgspec.structs.fields(Settings)}
    given: dict[str, object] = {
        name: source[PREFIX + name.upper()] for name in names if source.get(PREFIX + name.upper(), "") != ""
    }
    given.update({name: value for name, value in options.items() if value is not None})
    try:
        settings = msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise StartUpError(f"a setting cannot be read: {error}") from error
    return _checked(settings)


def _checked(settings: Settings) -> Settings:
    scheme = urlsplit(settings.database).scheme
    if scheme not in ("sqlite", "postgresql"):
        raise StartUpError("COMPANION_DATABASE must start with sqlite:/// or postgresql://")
    if settings.log_format not in ("text", "json"):
        raise StartUpError("COMPANION_LOG_FORMAT must be text or json")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        raise StartUpError("COMPANION_LOG_LEVEL must be debug, info, warning or error")
    if settings.nudge_lease < 1 or settings.nudge_beat <= 0:
        raise StartUpError("COMPANION_NUDGE_LEASE must be 1 second or more, COMPANION_NUDGE_BEAT more than 0")
    if not settings.crisis_hours.strip():
        raise StartUpError("COMPANION_CRISIS_HOURS must say when the team reads entries")
    try:
        settings.crisis()
    except ValueError as error:
        raise StartUpError(f"COMPANION_CRISIS_RESOURCES: {error}") from error
    return settings
