"""Eight phones write at once while a ninth pulls: it misses nothing. (A cursor over a serial column lost 416 of 1,200.)"""

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

from support.engines import Engine
from support.sync_services import NOON, Real, shared

from companion_sdk import Companion
from companion_sdk.wire import LogIn, Note, Push, PushOp

WRITERS = 8


def test_a_reader_misses_nothing(engine: Engine, full: bool, say: Callable[[object], None]) -> None:
    """1,200 entries by ``--full``, 400 in CI; two services on one database, so that no lock within one can help."""
    each = (1_200 if full else 400) // WRITERS
    with shared(engine) as one, shared(engine) as other:
        ana = Real(one)
        urls = [one.running.url, other.running.url]
        written: list[UUID] = []
        threads = [
            threading.Thread(target=_write, args=(urls[writer % 2], ana.sign_in(), each, written))
            for writer in range(WRITERS)
        ]
        seen, pulls = _pull_while(threads, urls, ana.sign_in())
        assert len(written) == each * WRITERS
        assert len(seen) == len(set(seen)), "an entry came twice, though nobody corrected it"
        missed = set(written) - set(seen)
        assert missed == set(), f"{len(missed)} of {len(written)} were never pulled"
    say(f"sync, {WRITERS} writers on {engine.name}: 0 of {len(written)} missed in {pulls} pulls")


def _write(url: str, token: str, count: int, written: list[UUID]) -> None:
    """One phone: pushes of one entry each."""
    device = uuid4()
    with Companion(url, token) as client:
        for n in range(1, count + 1):
            entry = LogIn(at=NOON - timedelta(minutes=n), zone="Europe/Berlin", body=Note(text=f"{device} {n}"))
            op = PushOp(n=n, op=uuid4(), id=uuid4(), base=0, log=entry)
            pushed = client.sync.push(Push(device=device, sent_at=NOON, ops=[op]))
            assert [result.outcome for result in pushed.results] == ["applied"]
            written.append(op.id)


def _pull_while(threads: list[threading.Thread], urls: list[str], token: str) -> tuple[list[UUID], int]:
    """Everything one reader got, page after page, until after the last write; it asks both services in turn."""
    seen: list[UUID] = []
    cursor, pulls = None, 0
    clients = [Companion(url, token) for url in urls]
    for thread in threads:
        thread.start()
    writing, more = True, True
    while writing or more:
        writing = any(thread.is_alive() for thread in threads)
        changes = clients[pulls % 2].sync.pull(cursor, limit=20)
        seen += [change.id for change in changes.changes]
        cursor, more, pulls = changes.cursor, changes.more, pulls + 1
    for client in clients:
        client.close()
    return seen, pulls
