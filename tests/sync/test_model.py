"""The pure model of sync holds what the design promises."""

from collections.abc import Callable

from support.sync_machine import SyncMachine
from support.sync_modelled import modelled
from support.sync_restored import RestoredServiceMachine
from support.sync_running import run


def test_every_phone_equals_the_service_and_nothing_is_lost(full: bool, chosen: int, say: Callable[[object], None]) -> None:
    say(f"sync, model: {run(modelled(SyncMachine), 20_000 if full else 500, chosen)}")


def test_a_service_put_back_to_an_earlier_state_gets_back_what_phones_have(
    full: bool, chosen: int, say: Callable[[object], None]
) -> None:
    say(f"sync, model, service restored: {run(modelled(RestoredServiceMachine), 5_000 if full else 100, chosen)}")
