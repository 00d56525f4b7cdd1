"""Faults seeded in the fake service and in ``Diary`` are caught: the nine that the issue names, and more by ``--full``."""

from collections.abc import Callable

import pytest
from support import sync_faults
from support.sync_driven import driven
from support.sync_faults import Fault
from support.sync_machine import SyncMachine
from support.sync_running import caught
from support.sync_services import InMemory

Say = Callable[[object], None]

MOST = 1_000
"""Histories within which a fault must show; most do within a dozen."""


@pytest.mark.parametrize("fault", sync_faults.NINE, ids=lambda fault: fault.__name__)
def test_a_fault_is_caught(fault: Fault, always: int, say: Say) -> None:
    _caught(fault, always, say)


def test_more_faults_are_caught(full: bool, always: int, say: Say) -> None:
    """In CI the quickest of them."""
    for fault in sync_faults.MORE if full else sync_faults.MORE[-1:]:
        _caught(fault, always, say)


def _caught(fault: Fault, always: int, say: Say) -> None:
    with pytest.MonkeyPatch.context() as patch, driven(SyncMachine, InMemory) as machine:
        fault(patch)
        ran = caught(machine, MOST, always)
    assert ran.failure is not None, f"{fault.__name__}: {ran}"
    say(f"sync, Diary and fake, fault {fault.__name__}: history {ran.histories}, {ran.seconds:.1f} s: {ran.failure[:60]}")
