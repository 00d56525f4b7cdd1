"""Where nudges go: addresses, secrets that are shown once, addresses that are refused."""

import base64
from typing import Any
from uuid import uuid4

import pytest
from support.cast import Person
from support.nudging import Desk, plan, put_plan
from support.receivers import SECRET, Hook

T = "2026-03-03T01:30:00"


def hook_at(url: str, **more: Any) -> dict[str, Any]:
    return {"channel": "webhook", "url": url, **more}


async def test_a_secret_is_made_and_shown_once(ana: Person, desk: Desk, hook: Hook) -> None:
    path = f"/v1/me/endpoints/{uuid4()}"
    made = (await ana.put(path, hook_at(hook.url))).json()
    assert (made["channel"], made["state"]) == ("webhook", "on")
    assert len(base64.b64decode(made["secret"].removeprefix("whsec_"))) == 32
    again = (await ana.put(path, hook_at(hook.url))).json()
    assert again == {name: value for name, value in made.items() if name != "secret"}
    hook.secret = made["secret"]
    await put_plan(ana, plan("20:30"))
    await desk.at(T)
    assert (len(hook.received), hook.forged) == (1, 0)


async def test_another_url_gets_another_secret(ana: Person, desk: Desk, hook: Hook) -> None:
    path = f"/v1/me/endpoints/{uuid4()}"
    first = (await ana.put(path, hook_at("https://one.example.org/"))).json()
    second = (await ana.put(path, hook_at("https://two.example.org/"))).json()
    assert first["secret"] != second["secret"]
    assert "secret" not in (await ana.put(path, hook_at("https://two.example.org/", secret=SECRET))).json()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://example.org/hook", "https-only"),
        ("https://user:word@example.org/hook", "user-info"),
        ("https://10.0.0.1/hook", "address-refused"),
        ("https://[::1]/hook", "address-refused"),
        ("https://[64:ff9b::7f00:1]/hook", "address-refused"),
        ("http://localhost/hook", "https-only"),
        ("ftp://example.org/hook", "format"),
        ("https:///hook", "format"),
    ],
)
async def test_an_address_that_may_not_be_reached_is_refused(ana: Person, desk: Desk, url: str, code: str) -> None:
    answer = await ana.put(f"/v1/me/endpoints/{uuid4()}", hook_at(url))
    assert answer.status_code == 400
    assert [fault["code"] for fault in answer.json()["errors"]] == [code]


@pytest.mark.parametrize("secret", ["whsec_" + "A" * 30, "whsec_" + "A" * 27, "whsec_" + "A" * 92])
async def test_a_secret_must_be_base64_of_the_right_length(ana: Person, desk: Desk, secret: str) -> None:
    answer = await ana.put(f"/v1/me/endpoints/{uuid4()}", hook_at("https://example.org/", secret=secret))
    assert answer.status_code == 400
    assert [fault["code"] for fault in answer.json()["errors"]] == ["format"]


async def test_only_a_patient_has_endpoints(cleo: Person, eve: Person, desk: Desk) -> None:
    body = {"channel": "email", "address": "a@example.org"}
    assert (await cleo.put(f"/v1/me/endpoints/{uuid4()}", body)).status_code == 404
    assert (await cleo.delete(f"/v1/me/endpoints/{uuid4()}")).status_code == 404
    assert (await eve.put(f"/v1/me/endpoints/{uuid4()}", body)).status_code == 401


async def test_a_name_that_leads_inside_is_refused_when_it_is_connected_to(ana: Person, desk: Desk, hook: Hook) -> None:
    """``localhost`` is not named in COMPANION_EGRESS_ALLOW, which names 127.0.0.1: what it resolves to is refused."""
    port = hook.url.split(":")[2].split("/")[0]
    answer = await ana.put(f"/v1/me/endpoints/{uuid4()}", hook_at(f"https://localhost:{port}/hook"))
    assert answer.status_code == 200
    await put_plan(ana, plan("20:30"))
    await desk.at(T)
    (nudge,) = (await ana.get("/v1/patients/me/nudges?state=failed")).json()["items"]
    assert nudge["reason"] == "address-refused"
    assert hook.received == []


async def test_two_patients_may_use_the_same_id(ana: Person, ben: Person, desk: Desk, hook: Hook) -> None:
    path = f"/v1/me/endpoints/{uuid4()}"
    for person in (ana, ben):
        assert (await person.put(path, hook_at(hook.url, secret=SECRET))).status_code == 200
        await put_plan(person, plan("20:30"))
    await ben.delete(path)
    await desk.at(T)
    assert len(hook.received) == 1
