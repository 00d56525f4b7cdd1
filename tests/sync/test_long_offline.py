"""Three days without a network, then one that loses a third of all packets both ways: 300 entries, each once."""

from collections.abc import Callable
from pathlib import Path

from support.sync_real import ZONE, HttpService
from support.sync_services import NOON

from companion_sdk import Companion, Diary, Mood
from companion_sdk.testing import Clock, Network

ENTRIES = 300
EVERY = 72 * 60 / ENTRIES
"""Minutes between two entries."""


def test_three_days_offline_then_a_bad_network(
    service: HttpService, tmp_path: Path, full: bool, chosen: int, say: Callable[[object], None]
) -> None:
    lost, syncs = 0, 0
    for life in range(20 if full else 3):
        network = Network(service.transport(), loses=1 / 3, seed=f"{chosen} {life}", clock=Clock(NOON, seed=life))
        more_lost, more_syncs = _three_days(service, network, tmp_path, life)
        lost, syncs = lost + more_lost, syncs + more_syncs
        network.close()
    counts = f"{syncs} syncs, {lost} packets lost, seed {chosen}"
    say(f"sync, 72 h offline, {service.name}: {life + 1} times {ENTRIES} entries once, {counts}")


def _three_days(service: HttpService, network: Network, folder: Path, life: int) -> tuple[int, int]:
    """How many packets were lost, and how many syncs it took. Every third client tries each request once only."""
    syncs = 0
    clock = network.companion_clock
    assert isinstance(clock, Clock)
    with (
        Companion(service.url, service.sign_in(), transport=network, zone=ZONE, retries=life % 3) as client,
        Diary(folder / f"{life}.diary", client) as diary,
        network.offline(),
    ):
        made = []
        for number in range(ENTRIES):
            clock.advance(minutes=EVERY)
            made.append(diary.record(Mood(mood=1 + number % 5, note=f"{life} {number}")))
            if number % 50 == 0:
                assert diary.sync().error is not None
        assert diary.unsent == ENTRIES
        assert {entry.state for entry in diary.entries()} == {"kept"}
        network.go_online()
        while not diary.sync().done:
            syncs += 1
            assert syncs < 200
        network.heal()
        assert (diary.unsent, diary.needs_attention(), diary.verify().agrees) == (0, [], True)
    counts = network.counts
    _each_once(service, {str(entry.id): entry.at for entry in made})
    return counts.get("lose_request", 0) + counts.get("lose_reply", 0), syncs + 1


def _each_once(service: HttpService, made: dict[str, object]) -> None:
    """The service has every entry at its own moment, at its first revision, and no other of this diary's."""
    with Companion(service.url, service.sign_in(), transport=service.transport()) as client:
        stored = [entry for entry in client.logs.list() if str(entry.id) in made]
    assert {str(entry.id): entry.at for entry in stored} == made
    assert len(stored) == ENTRIES
    assert {entry.revision for entry in stored} == {1}
