"""The vectors' answers are the service's own: histories that one device lives through alone, against the real service."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx2
import pytest
from support.cast import Cast
from support.plain_client import PlainClient
from support.replay import HISTORIES, Answer, Json, Replay, completed

from companion.running import Running


def alone(history: Json) -> bool:
    """Nothing comes from another phone, and the service is what it is: not older, busy, restored or of another mind."""
    exchanges = [exchange for step in history["steps"] for exchange in step.get("exchanges", ())]
    answers = [exchange.get("answer") or {} for exchange in exchanges]
    own = all(change["id"].startswith("$") for answer in answers for change in answer.get("changes", ()))
    outcomes = {result["outcome"] for answer in answers for result in answer.get("results", ())}
    usual = "around" not in history and not any("refused" in exchange for exchange in exchanges)
    return own and usual and outcomes <= {"applied", "gone", "rewound"}


ALONE = [name for name, history in HISTORIES.items() if alone(history)]


class Live(Replay):
    """A history whose answers come from the service, each held against what the file says of it."""

    def __init__(self, history: Json, http: httpx2.Client) -> None:
        self._http = http
        super().__init__(history, lambda replay: PlainClient(replay.answer))

    def answer(self, method: str, path: str, query: Mapping[str, str], body: Any) -> Answer:
        if path == "/v1/service":
            return super().answer(method, path, query, body)
        exchange = self.script.pop(0)
        if body is not None:
            assert self._is_push(exchange, body), body
        came = self._http.request(method, path, params=query, **({} if body is None else {"json": body}))
        assert came.status_code == 200, came.text
        for step in exchange.get("meanwhile", ()):
            self._do(step)
        if exchange["answer"] is None:
            return None
        self._held(self.names.filled(completed(exchange["answer"])), came.json())
        return 200, came.json()

    def _held(self, told: Json, came: Json) -> None:
        """The same outcomes, revisions and entries. ``seq`` begins later: consents stand in a patient's order as well."""
        for key, fields in (
            ("results", ("n", "outcome", "revision")),
            ("changes", ("id", "kind", "revision", "deleted", "body")),
        ):
            wanted = [[one[field] for field in fields] for one in told.get(key, ())]
            found = [[one[field] for field in fields] for one in came.get(key, ())]
            assert found == wanted
        assert came.get("last_n") == told.get("last_n")
        assert came.get("more") == told.get("more")


def test_enough_histories_are_lived_through_alone() -> None:
    assert {"reply-lost", "rewound", "edited-while-it-travels"} <= set(ALONE)
    assert len(ALONE) >= 8


def lived(service: Running, token: str, name: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=service.url, headers=headers, timeout=30) as http:
        history = HISTORIES[name]
        steps = [{**step, "ignore": ["copy"]} if step["do"] == "expect" else step for step in history["steps"]]
        live = Live({**history, "steps": steps}, http)
        live.run()
        proof = http.get("/v1/patients/me/sync/digest").json()
        assert (proof["count"], proof["sha256"]) == live.client.digest()


@pytest.mark.parametrize("name", ALONE)
async def test_the_service_answers_as_the_file_says(
    service: Running, cast: Cast, in_thread: Callable[..., Awaitable[Any]], name: str
) -> None:
    await in_thread(lived, service, cast.ana.token, name)
