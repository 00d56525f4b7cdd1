"""Every fault that is seeded in the pure model of sync is caught."""

from collections.abc import Callable

import pytest
from support import sync_model, sync_phone
from support.sync_machine import SyncMachine
from support.sync_modelled import modelled
from support.sync_restored import RestoredServiceMachine
from support.sync_running import caught

MOST = 3_000
"""Histories within which a fault must show; most do within a dozen."""

RESTORED = ("keeps nothing", "lost is gone", "dead are swept")
"""Faults that only a service that was put back to an earlier state shows."""

FAULTS = [*sync_model.FAULTS, *sync_phone.FAULTS]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(fault: str, always: int, say: Callable[[object], None]) -> None:
    machine = RestoredServiceMachine if fault in RESTORED else SyncMachine
    ran = caught(modelled(machine, fault), MOST, always)
    assert ran.failure is not None, f"{fault}: {ran}"
    say(f"sync, model, fault {fault!r}: history {ran.histories}, {ran.seconds:.1f} s: {ran.failure[:70]}")
