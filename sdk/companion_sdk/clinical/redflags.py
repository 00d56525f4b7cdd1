"""Which answers are red flags: the phone and the server run the same rule, so it works offline and before a sync.

Knows what was answered, not who answered, and raises no alert itself.
"""

from typing import assert_never

from companion_sdk import wire


def flags(body: wire.Body) -> tuple[str, ...]:
    """The names of the red flags this answer raises, most urgent first; empty for nearly every answer.

    ``safe``: asked whether they are safe, the person answered "no" or "unsure". Skipping the question raises nothing.
    """
    match body:
        case wire.Mood():
            return ("safe",) if body.safe in ("no", "unsure") else ()
        case wire.Sobriety() | wire.Coping() | wire.Note() | wire.Medication() | wire.Meeting() | wire.Eating():
            return ()
        case wire.Functioning() | wire.Withdrawal() | wire.Activity() | wire.Goal() | wire.SafetyPlan():
            return ()
        case _:
            assert_never(body)
