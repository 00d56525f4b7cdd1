"""The property test of sync with the real ``Diary`` against the real service on both databases."""

from collections.abc import Callable

from support.engines import Engine
from support.sync_driven import driven
from support.sync_machine import SyncMachine
from support.sync_running import run
from support.sync_services import Real, shared


def test_every_phone_equals_the_service_and_nothing_is_lost(
    engine: Engine, full: bool, chosen: int, say: Callable[[object], None]
) -> None:
    with shared(engine) as service, driven(SyncMachine, lambda: Real(service)) as machine:
        say(f"sync, Diary and service on {engine.name}: {run(machine, 100 if full else 25, chosen)}")
