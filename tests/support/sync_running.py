"""Running the sync machine so many times from a seed, and seeing how soon it catches a fault."""

import time
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import get_state_machine_test

from .sync_machine import SyncMachine

STEPS = 50


class Ran(NamedTuple):
    """What a run came to. ``failure`` is None where every history held."""

    histories: int
    seconds: float
    seed: int
    failure: str | None = None

    def __str__(self) -> str:
        return f"{self.histories} histories of up to {STEPS} steps from seed {self.seed} in {self.seconds:.1f} s"


def run(machine: type[SyncMachine], histories: int, chosen: int) -> Ran:
    """So many histories; the first one that fails is made small and raised."""
    began = time.perf_counter()
    _test(machine, histories, chosen, (Phase.generate, Phase.shrink))()
    return Ran(histories, time.perf_counter() - began, chosen)


def caught(machine: type[SyncMachine], most: int, chosen: int) -> Ran:
    """The history at which the machine fails, of at most so many."""
    count = 0

    class Counted(machine):  # type: ignore[valid-type, misc]
        def __init__(self) -> None:
            nonlocal count
            count += 1
            super().__init__()

    began = time.perf_counter()
    failure: str | None = None
    try:
        _test(Counted, most, chosen, (Phase.generate,))()
    except AssertionError as error:
        failure = str(error).partition("\n")[0]
    return Ran(count, time.perf_counter() - began, chosen, failure)


def _test(machine: type[SyncMachine], histories: int, chosen: int, phases: tuple[Phase, ...]) -> Callable[[], None]:
    wanted = settings(
        max_examples=histories,
        stateful_step_count=STEPS,
        database=None,
        deadline=None,
        phases=phases,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    return seed(chosen)(get_state_machine_test(machine, settings=wanted))
