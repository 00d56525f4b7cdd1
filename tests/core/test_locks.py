"""The watch over locks sees what it is there to see."""

import pytest
from support.locks import Unlocked, Watch, statement

LOCK = statement("SELECT seq FROM feeds WHERE patient_id = :patient {lock}")
READ = statement("SELECT seq FROM logs WHERE patient_id = :patient ORDER BY seq")
WRITE = statement("UPDATE logs SET current = 0 WHERE patient_id = :patient")


def see(*texts: str) -> None:
    watch = Watch()
    for text in texts:
        watch.see(text)


def test_a_write_under_the_lock_is_right() -> None:
    see(LOCK, READ, WRITE)
    see(READ)


def test_a_write_without_the_lock_is_seen() -> None:
    with pytest.raises(Unlocked, match="without it"):
        see(READ, WRITE)


def test_a_write_after_a_read_before_the_lock_is_seen() -> None:
    with pytest.raises(Unlocked, match="after a read"):
        see(READ, LOCK, WRITE)
