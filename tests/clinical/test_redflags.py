"""Which answers are red flags, for every kind there is."""

import pytest

from companion_sdk import wire
from companion_sdk.clinical.redflags import flags

QUIET: dict[str, wire.Body] = {
    "mood": wire.Mood(mood=1, note="I want it to stop"),
    "sobriety": wire.Sobriety(sober=False, uses=[wire.Use(substance="fentanyl")], craving=10),
    "coping": wire.Coping(skill="breathing", urge_before=10, urge_after=10),
    "note": wire.Note(text="no"),
    "medication": wire.Medication(medication="Naltrexone", status="stopped"),
    "meeting": wire.Meeting(fellowship="AA", note="I want it to stop"),
    "eating": wire.Eating(meals_kept="none", urge_restrict=10, urge_binge=10, urge_purge=10, acted=True),
    "functioning": wire.Functioning(work=0, self_care=0, home_supportive="no"),
    "withdrawal": wire.Withdrawal(severity=10, symptoms=["shaking"], medical_concern=True),
    "activity": wire.Activity(what="Nothing", enjoyed=0),
    "goal": wire.Goal(goal="Get through today", progress="none"),
    "safety_plan": wire.SafetyPlan(sections=[wire.PlanSection(title="Signs that it gets hard", text="I stop eating")]),
}


@pytest.mark.parametrize("safe", ["no", "unsure"])
def test_ana_says_she_is_not_safe(safe: str):
    assert flags(wire.decode(wire.LogIn, _mood(safe)).body) == ("safe",)


def test_ana_says_she_is_safe():
    assert flags(wire.decode(wire.LogIn, _mood("yes")).body) == ()


def test_ana_skips_the_question():
    assert flags(wire.Mood(mood=1)) == ()


@pytest.mark.parametrize("kind", QUIET)
def test_nothing_else_raises_a_flag_yet(kind: str):
    assert flags(QUIET[kind]) == ()


def test_every_kind_of_the_contract_has_an_answer():
    assert set(QUIET) == set(wire.KINDS)


def test_a_kind_without_a_case_is_an_error_and_not_silence():
    with pytest.raises(AssertionError):
        flags(object())  # type: ignore[arg-type]


def _mood(safe: str) -> bytes:
    return (
        b'{"at":"2026-03-01T04:30:00Z","zone":"America/New_York","body":{"kind":"mood","mood":2,"safe":"%s"}}'
        % safe.encode()
    )
