"""The property test of sync with the real ``Diary`` against the fake service."""

from collections.abc import Callable

from support.sync_driven import driven
from support.sync_machine import SyncMachine
from support.sync_restored import RestoredServiceMachine
from support.sync_running import run
from support.sync_services import InMemory

Say = Callable[[object], None]


def test_every_phone_equals_the_service_and_nothing_is_lost(full: bool, chosen: int, say: Say) -> None:
    with driven(SyncMachine, InMemory) as machine:
        say(f"sync, Diary and fake: {run(machine, 500 if full else 60, chosen)}")


def test_a_service_put_back_to_an_earlier_state_gets_back_what_phones_have(full: bool, chosen: int, say: Say) -> None:
    with driven(RestoredServiceMachine, InMemory) as machine:
        say(f"sync, Diary and fake, service restored: {run(machine, 500 if full else 20, chosen)}")
