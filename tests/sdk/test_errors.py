"""Every refusal of the service as the error a program catches, and what a person reads in it."""

import pickle

import httpx2
import msgspec
import pytest

import companion_sdk
from companion_sdk import ApiError, CompanionError, DiaryError, ServerError, TransportError, wire
from companion_sdk.errors import BY_WORD

LOG = "0192e4a0-0000-7000-8000-000000000001"
REQUEST = "0192e4a0-0000-7000-8000-0000000000ff"


def refusal(word: str, **headers: str) -> httpx2.Response:
    status, title = wire.WORDS[word]
    problem = wire.Problem(
        type=f"/problems/{word}",
        title=title,
        status=status,
        detail="",
        instance=f"urn:uuid:{REQUEST}",
        request_id=REQUEST,
        errors=(wire.Fault(pointer="/body/mood", code="out-of-range"),),
    )
    return httpx2.Response(status, content=msgspec.json.encode(problem), headers=headers)


@pytest.mark.parametrize("word", wire.WORDS)
def test_every_word_of_the_contract_is_its_own_error(word, against):
    client = against(refusal(word), retries=0)
    with pytest.raises(BY_WORD[word]) as caught:
        client.logs.get(LOG)
    error = caught.value
    assert type(error) is BY_WORD[word]
    assert (error.word, error.status, error.request_id) == (word, wire.WORDS[word][0], REQUEST)
    assert error.problem.errors[0].code == "out-of-range"
    for said in (word, "/body/mood out-of-range", REQUEST):
        assert said in str(error)


def test_the_words_and_the_errors_are_one_list():
    assert BY_WORD.keys() == wire.WORDS.keys()
    shared = {word for word in BY_WORD if list(BY_WORD.values()).count(BY_WORD[word]) > 1}
    assert shared == set()


def test_every_error_is_in_the_tree_and_can_be_imported():
    def below(kind: type) -> set[type]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    assert {kind.__name__ for kind in below(CompanionError)} <= set(companion_sdk.__all__)
    assert below(CompanionError) == {CompanionError} | below(ApiError) | below(TransportError) | below(DiaryError)
    assert all(kind.__name__ in (companion_sdk.errors.__doc__ or "") for kind in below(CompanionError))


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "InvalidRequest"),
        (401, "Unauthenticated"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (405, "MethodNotAllowed"),
        (409, "Conflict"),
        (410, "Gone"),
        (412, "RevisionMismatch"),
        (413, "TooLarge"),
        (415, "UnsupportedMedia"),
        (418, "ApiError"),
        (428, "RevisionRequired"),
        (429, "RateLimited"),
        (431, "HeadersTooLarge"),
        (500, "ServerError"),
        (502, "ServerError"),
        (503, "ServerError"),
        (599, "ServerError"),
    ],
)
@pytest.mark.parametrize("body", [b"<html><h1>Bad Gateway</h1>", b"", b"{}", b"\xff\xfe", b'{"status":"no"}', b"[" * 5000])
def test_a_proxys_page_is_an_error_of_the_same_tree(status, name, body, against):
    client = against(httpx2.Response(status, content=body), retries=0)
    with pytest.raises(ApiError) as caught:
        client.me.get()
    assert type(caught.value).__name__ == name
    assert caught.value.problem.status == caught.value.status == status
    assert caught.value.word == ""
    assert len(caught.value.request_id) == 36
    assert "html" not in str(caught.value)
    assert caught.value.request_id in str(caught.value)


def test_a_word_of_the_future_is_known_by_its_status(against):
    body = msgspec.json.encode({**msgspec.to_builtins(companion_problem("teapot", 409)), "shelf": 3})
    with pytest.raises(companion_sdk.Conflict) as caught:
        against(httpx2.Response(409, content=body)).me.get()
    assert caught.value.word == "teapot"


def companion_problem(word: str, status: int) -> wire.Problem:
    return wire.Problem(type=f"/problems/{word}", title=word, status=status, detail="", instance="", request_id=REQUEST)


def test_a_mismatch_names_the_stored_revision(against):
    with pytest.raises(companion_sdk.RevisionMismatch) as caught:
        against(refusal("revision-mismatch", etag='"7"')).logs.get(LOG)
    assert caught.value.revision == 7


def test_a_mismatch_shows_what_is_stored(client, service):
    entry = client.logs.record(companion_sdk.Mood(mood=2))
    on_another_phone = client.logs.correct(entry, companion_sdk.Mood(mood=3))
    with pytest.raises(companion_sdk.RevisionMismatch) as caught:
        client.logs.correct(entry, companion_sdk.Mood(mood=4))
    assert caught.value.current == on_another_phone
    assert client.logs.correct(on_another_phone, companion_sdk.Mood(mood=4)).revision == 3


def test_a_mismatch_about_an_entry_of_the_future_is_told_too(against, client):
    stored = msgspec.to_builtins(client.logs.record(companion_sdk.Note(text="a")))
    told = msgspec.to_builtins(companion_problem("revision-mismatch", 412))
    told["current"] = {**stored, "kind": "dream", "body": {"kind": "dream", "vivid": 4}}
    with pytest.raises(companion_sdk.RevisionMismatch) as caught:
        against(httpx2.Response(412, json=told)).logs.get(LOG)
    assert isinstance(caught.value.current, companion_sdk.UnknownLog)


def test_a_busy_service_says_how_long(against):
    with pytest.raises(companion_sdk.RateLimited) as caught:
        against(refusal("rate-limited", **{"retry-after": "90"}), retries=0).me.get()
    assert caught.value.retry_after == 90
    assert caught.value.revision is None


def test_an_error_survives_a_pickle(against):
    with pytest.raises(companion_sdk.NotFound) as caught:
        against(refusal("not-found")).me.get()
    for error in (caught.value, companion_sdk.TimedOut("late", REQUEST)):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.request_id) == (type(error), str(error), REQUEST)


@pytest.mark.parametrize("status", [301, 302, 304, 307])
def test_a_redirect_is_not_followed(status, against):
    client = against(httpx2.Response(status, headers={"location": "https://elsewhere.example/"}))
    with pytest.raises(companion_sdk.InvalidResponse, match="base URL"):
        client.me.get()


@pytest.mark.parametrize("body", [b"<html>Sign in to the hotel</html>", b"", b"[]", b"\xff", b'{"name":"Canary"}'])
def test_a_captive_portal_is_not_an_answer(body, against):
    with pytest.raises(companion_sdk.InvalidResponse) as caught:
        against(httpx2.Response(200, content=body)).me.get()
    assert "Canary" not in str(caught.value)
    assert caught.value.request_id in str(caught.value)


def test_a_service_that_is_not_ready_says_why_instead_of_raising(against, clock):
    red = wire.Health(status="not ready", checks={"disk": "full"})
    health = against(httpx2.Response(503, content=msgspec.json.encode(red))).health.ready()
    assert health.checks == {"disk": "full"}
    assert clock.slept == []


def test_a_proxy_that_answers_for_a_service_is_still_an_error(against):
    with pytest.raises(ServerError):
        against(httpx2.Response(503, content=b"<html>"), retries=0).health.ready()
