"""Answers that a test sets in the fake service's place, and the words for those it forgot. Knows no rule of the service."""

import re
from collections.abc import Mapping

import msgspec

from . import _routes
from ._exchange import JSON, Said
from ._refusals import Refused, not_found


class _Set(msgspec.Struct):
    """One answer; ``left`` counts how often, None is for ever."""

    method: str
    form: re.Pattern[str]
    answer: object
    status: int
    left: int | None
    headers: Mapping[str, str]


class Answers:
    """What a test set, the latest first."""

    def __init__(self) -> None:
        self._set: list[_Set] = []

    def set(
        self, method: str, route: str, answer: object, status: int, times: int | None, headers: Mapping[str, str]
    ) -> None:
        """Answer this from now on."""
        self._set.insert(0, _Set(method.upper(), _routes.pattern(route), answer, status, times, headers))

    def take(self, method: str, path: str) -> Said | None:
        """The answer to this request, or None where the test set none."""
        for one in self._set:
            if one.method == method and one.form.fullmatch(path):
                if one.left is not None:
                    one.left -= 1
                    if one.left <= 0:
                        self._set.remove(one)
                return _said(one)
        return None

    def missing(self, method: str, path: str, known: list[str] | None) -> Refused:
        """The refusal of what neither the service nor the test answers."""
        rows = [row for row in _routes.contract() if row[2] not in _routes.OWN]
        for called, form, route in rows:
            if called == method and form.fullmatch(path):
                words = f"FakeService has no answer of its own: set one with fake.answer({method!r}, {route!r}, …)"
                return Refused("method-not-allowed", words, headers=(("Allow", ""),))
        allowed = known or sorted({called for called, form, _ in rows if form.fullmatch(path)})
        if not allowed:
            return not_found()
        return Refused("method-not-allowed", headers=(("Allow", ", ".join(allowed)),))


def _said(one: _Set) -> Said:
    headers = {name.lower(): value for name, value in one.headers.items()}
    if isinstance(one.answer, str):
        raise Refused(one.answer, headers=tuple(headers.items()))
    if one.answer is None:
        return Said(204 if one.status == 200 else one.status, headers)
    return Said(one.status, {"content-type": JSON, **headers}, msgspec.json.encode(one.answer))
