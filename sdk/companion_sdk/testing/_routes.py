"""THE list of what the fake service answers by itself, and how one request is answered. Knows no HTTP client."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from companion_sdk._call import Endpoint
from companion_sdk.wire import Health

from . import _consenting, _entries, _signing, _syncing
from ._exchange import Said, answer
from ._gate import Unit

Verb = Callable[..., Said]

OPEN = frozenset({"/v1/service", "/v1/crisis", "/v1/sign-in", "/health/live", "/health/ready"})
"""Paths that ask for no sign-in."""


class CrisisQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The language to answer in."""

    language: Annotated[str, Meta(min_length=2, max_length=35)] = "en"


def service(unit: Unit) -> Said:
    """What this service understands."""
    return answer(unit.site.facts())


def crisis(unit: Unit) -> Said:
    """Whom to reach now."""
    return answer(unit.site.crisis(unit.heard.query(CrisisQuery).language))


def live(unit: Unit) -> Said:
    """The process answers."""
    return answer(Health(status="ok", checks={}))


def ready(unit: Unit) -> Said:
    """The service can keep entries."""
    return answer(Health(status="ok", checks={"storage": "ok", "heartbeat": "ok"}))


STREAM = _syncing.stream

_ONE = "/v1/patients/{patient}"
TABLE: Mapping[str, Mapping[str, Verb]] = {
    "/v1/service": {"GET": service},
    "/v1/crisis": {"GET": crisis},
    "/health/live": {"GET": live},
    "/health/ready": {"GET": ready},
    "/v1/sign-in": {"POST": _signing.sign_in},
    "/v1/sign-out": {"POST": _signing.sign_out},
    "/v1/me": {"GET": _signing.me, "PATCH": _signing.change_me},
    "/v1/me/devices": {"GET": _signing.devices},
    "/v1/me/devices/{device:uuid}": {"DELETE": _signing.sign_out_device},
    "/v1/me/tokens": {"GET": _signing.tokens, "POST": _signing.make_token},
    "/v1/me/tokens/{token:uuid}": {"DELETE": _signing.end_token},
    "/v1/me/invites": {"POST": _signing.invite_own_phone},
    "/v1/invites": {"POST": _signing.invite},
    _ONE: {"GET": _consenting.patient},
    f"{_ONE}/consents": {"GET": _consenting.consents},
    f"{_ONE}/consents/{{consent:uuid}}": {"PUT": _consenting.give},
    f"{_ONE}/consents/{{consent:uuid}}/revoke": {"POST": _consenting.revoke},
    f"{_ONE}/logs": {"GET": _entries.page},
    f"{_ONE}/logs/{{log:uuid}}": {"PUT": _entries.put, "GET": _entries.get, "DELETE": _entries.delete},
    f"{_ONE}/logs/{{log:uuid}}/history": {"GET": _entries.history},
    f"{_ONE}/safety-plan": {"PUT": _entries.put_plan, "GET": _entries.get_plan},
    f"{_ONE}/sync/push": {"POST": _syncing.push},
    f"{_ONE}/sync/pull": {"GET": _syncing.pull},
    f"{_ONE}/sync/digest": {"GET": _syncing.digest},
    f"{_ONE}/sync/stream": {"GET": STREAM},
}

OWN = frozenset(template.replace(":uuid", "") for template in TABLE)
"""The same paths as the contract writes them."""

_FIELD = re.compile(r"\{(\w+)(:uuid)?\}")
_UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


def pattern(template: str) -> re.Pattern[str]:
    """What a path of this template looks like."""
    return re.compile(_FIELD.sub(lambda found: f"(?P<{found[1]}>{_UUID if found[2] else '[^/]+'})", template))


_PATTERNS = [(pattern(template), verbs) for template, verbs in TABLE.items()]


def find(path: str) -> tuple[Mapping[str, Verb], dict[str, str]] | None:
    """The verbs of a path by method, and what stands in its fields."""
    for form, verbs in _PATTERNS:
        if match := form.fullmatch(path):
            return verbs, match.groupdict()
    return None


def contract() -> list[tuple[str, re.Pattern[str], str]]:
    """Every call the SDK can make: method, form of the path, route."""
    from companion_sdk import _endpoints

    modules = [module for name, module in vars(_endpoints).items() if not name.startswith("_")]
    rows = [row for module in modules for row in _rows(module)]
    return [(row.method, pattern(row.route), row.route) for row in rows]


def _rows(module: Any) -> "list[Endpoint[Any]]":
    return [row for row in getattr(module, "__dict__", {}).values() if isinstance(row, Endpoint)]
