"""What the fake service is: its clock, its ids, what it understands and whom to call in danger. Holds nobody's data."""

from datetime import datetime
from uuid import UUID

import msgspec

from companion_sdk._clock import uuid7
from companion_sdk._version import VERSION
from companion_sdk.clinical import crisis
from companion_sdk.wire import KINDS, Body, Crisis, LogIn, Service, kind_of
from companion_sdk.wire.sync import MAX_CHANGES, MAX_OPS, MAX_PUSH_BYTES

from ._exchange import BODY_LIMIT
from ._refusals import invalid
from .clock import Chance, Clock

URL = "https://companion.test"
"""Where the fake service says it is; ``.test`` is nobody's (RFC 2606)."""

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 20


class Site:
    """The running fake service. ``version`` and ``without`` make it an older one."""

    def __init__(self, clock: Clock, seed: object) -> None:
        self.clock = clock
        self.version = VERSION
        self.without: frozenset[str] = frozenset()
        self._chance = Chance(f"service/{seed}")

    def new_id(self, now: datetime) -> UUID:
        """A fresh UUIDv7."""
        return uuid7(int(now.timestamp() * 1000), self._chance.bits(80))

    def new_request_id(self) -> str:
        """A fresh UUIDv4 as text."""
        return str(UUID(int=self._chance.bits(128), version=4))

    def new_token(self, name: str) -> str:
        """A token that nobody takes for a real one."""
        words = "".join(letter for letter in name.lower() if letter.isascii() and letter.isalnum()) or "somebody"
        return f"cmp_fake_{words}_{self._chance.bits(64):016x}"

    def new_code(self) -> str:
        """A code a person can type: 100 bits in Crockford's base 32, in groups of five."""
        number = self._chance.bits(5 * _LENGTH)
        letters = [_CROCKFORD[number >> 5 * place & 31] for place in range(_LENGTH)]
        return "-".join("".join(letters[start : start + 5]) for start in range(0, _LENGTH, 5))

    def facts(self) -> Service:
        """What it understands."""
        kinds = {
            name: [field.encode_name for field in msgspec.structs.fields(struct) if self._knows(name, field.encode_name)]
            for name, struct in sorted(KINDS.items())
            if name not in self.without
        }
        limits = {
            "body_bytes": BODY_LIMIT,
            "note_characters": 4000,
            "page": 500,
            "pull_changes": MAX_CHANGES,
            "push_bytes": MAX_PUSH_BYTES,
            "push_ops": MAX_OPS,
        }
        return Service(version=self.version, kinds=kinds, limits=limits, features=("diary", "consents", "sync"))

    def _knows(self, kind: str, field: str) -> bool:
        return f"{kind}.{field}" not in self.without

    def check(self, entry: LogIn, pointer: str = "") -> None:
        """Refuse what an older service does not know, as it would: a kind or a field."""
        if self.without and (found := self.unknown(entry.body)) is not None:
            raise invalid((pointer + found[0], found[1]))

    def unknown(self, body: Body) -> tuple[str, str] | None:
        """Where and what an older service does not know of a body."""
        kind = kind_of(body)
        if kind in self.without:
            return "/body/kind", "unknown-word"
        for field in msgspec.structs.fields(body):
            if not self._knows(kind, field.encode_name) and getattr(body, field.name) != field.default:
                return "/body", "unknown-field"
        return None

    def crisis(self, language: str, patient: UUID | None = None) -> Crisis:
        """Whom to reach now; with the address of the ``patient``'s own plan."""
        plan = None if patient is None else f"{URL}/v1/patients/{patient}/safety-plan"
        hours = crisis.usual_hours(language)
        return crisis.crisis(crisis.us_resources(language), hours, plan, language)


def normal_code(typed: str) -> str:
    """A typed code as it was made: case, spaces and dashes do not matter, O reads as 0, I and L as 1."""
    letters = "".join(character for character in typed.upper() if character.isalnum())
    return letters.translate(str.maketrans("OIL", "011"))
