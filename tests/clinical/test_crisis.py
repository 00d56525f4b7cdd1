"""What is put before someone in danger: the right numbers, in order, and no promise that nobody keeps."""

import re

import msgspec
import pytest

from companion_sdk import wire
from companion_sdk.clinical.crisis import NOT_WATCHED, crisis, us_resources

HOURS = "Monday at 9:00"
LANGUAGES = ["en", "es"]


def resource(**changes: object) -> wire.CrisisResource:
    whole = wire.CrisisResource(name="Line", call="111", languages=("en",), hours="always")
    return msgspec.structs.replace(whole, **changes)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_defaults_of_the_united_states(language: str):
    lifeline, emergency, samhsa = us_resources(language)
    assert (lifeline.call, lifeline.text, lifeline.chat) == ("988", "988", "https://988lifeline.org")
    assert emergency.call == "911"
    assert samhsa.call == "1-800-662-4357"
    assert set(lifeline.languages) == set(samhsa.languages) == {"en", "es"}
    assert re.search(r"press 2 for Spanish|oprima 2", lifeline.name)
    assert re.search(r"immediate danger|peligro inmediato", emergency.name)


@pytest.mark.parametrize("language", LANGUAGES)
def test_ana_reads_that_nobody_is_watching_and_when_her_team_is_back(language: str):
    shown = crisis(us_resources(language), HOURS, "/v1/patients/me/safety-plan", language)
    assert NOT_WATCHED[language].format(hours=HOURS) in shown.text
    assert (shown.monitored, shown.hours, shown.plan_url) == (False, HOURS, "/v1/patients/me/safety-plan")
    assert shown.resources == us_resources(language)


def test_the_english_sentence_is_the_fixed_one():
    shown = crisis(us_resources(), HOURS)
    assert shown.text.endswith("This app is not watched live. Your team may not see this until Monday at 9:00.")
    assert shown.plan_url is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_never_says_that_someone_was_told(language: str):
    shown = crisis(us_resources(language), HOURS, language=language)
    claims = r"notif|alert|inform|told|contacted|on (its|their) way|help is coming|avisa|hemos|en camino"
    assert not re.search(claims, shown.text, re.IGNORECASE)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_are_plain_and_short(language: str):
    words = crisis(us_resources(language), HOURS, language=language).text.split()
    assert 30 <= len(words) <= 80
    assert max(len(word) for word in words) <= 12


@pytest.mark.parametrize(("asked", "given"), [("es-MX", "es"), ("ES", "es"), ("en-GB", "en"), ("fr", "en"), ("", "en")])
def test_a_language_we_do_not_have_is_no_error_in_that_moment(asked: str, given: str):
    assert us_resources(asked) == us_resources(given)
    assert crisis(us_resources(), HOURS, language=asked) == crisis(us_resources(), HOURS, language=given)


def test_braces_in_a_site_s_own_words_stay_as_they_are():
    assert "{hours}" in crisis(us_resources(), "{hours} {0}").text


@pytest.mark.parametrize(
    "broken",
    [
        resource(name=" "),
        resource(hours=""),
        resource(languages=()),
        resource(languages=("en", " ")),
        resource(call="\t"),
        resource(text=""),
        resource(chat=" "),
        resource(call=None),
    ],
    ids=["name", "hours", "no-language", "language", "call", "text", "chat", "no-way-to-reach"],
)
def test_a_site_that_left_something_blank_does_not_start(broken: wire.CrisisResource):
    with pytest.raises(ValueError, match="crisis: resource 2"):
        crisis([resource(), broken], HOURS)


def test_a_site_without_any_resource_does_not_start():
    with pytest.raises(ValueError, match="at least one resource"):
        crisis([], HOURS)


@pytest.mark.parametrize(("hours", "plan_url"), [("", None), ("  ", None), (HOURS, " ")])
def test_blank_hours_or_plan_do_not_start(hours: str, plan_url: str | None):
    with pytest.raises(ValueError, match="blank"):
        crisis(us_resources(), hours, plan_url)


def test_it_travels_as_json():
    shown = crisis(us_resources(), HOURS)
    sent = msgspec.json.decode(msgspec.json.encode(shown))
    assert sent["monitored"] is False
    assert "plan_url" not in sent
    assert [place["call"] for place in sent["resources"]] == ["988", "911", "1-800-662-4357"]
