"""The property test of sync where the operator puts the service back to an earlier state."""

from typing import Any

from hypothesis.stateful import initialize, rule

from .sync_machine import PHONE, PHONES, PICK, SyncMachine


class RestoredServiceMachine(SyncMachine):
    """The operator puts the service back to an earlier state and raises the epoch; no phone is restored meanwhile.

    What a word came to cannot be told of histories that were cut off, and two phones may offer one word. So here: the
    phones and the service are one (I1, I4, I6, I7, I9, I10), no entry that a phone had is lost, no entry that a phone
    deleted lives (within the 400 days).
    """

    restored = True

    @initialize()
    def open(self) -> None:
        super().open()
        self.kept: list[tuple[Any, ...]] = []
        self.long_ago: set[int] = set()
        self.keep_service()

    def restore(self, d: int, which: int) -> None:
        """Not here."""

    @rule(d=PHONE)
    def regret(self, d: int) -> None:
        """Everybody has an entry, one phone deletes it, and the service goes back to before it."""
        self.everybody()
        self.write(d, "new", 0, "mood", False)
        self.everybody()
        seen = sorted(self.phones[d].view())
        self.delete(d, len(seen) - 1)
        self.sync_ok(d)
        self.put_back(0)

    @rule()
    def keep_service(self) -> None:
        """The operator's backup."""
        self.kept = [*self.kept[-1:], (self.server.backup(), dict(self.outcomes), dict(self.applied), set(self.dead))]

    @rule(which=PICK)
    def put_back(self, which: int) -> None:
        """The service is down meanwhile: no connection outlives it. Everybody signs in anew, since tokens are older too."""
        self._silence()
        feed, outcomes, applied, dead = self.kept[which % len(self.kept)]
        self.server.restore(feed)
        self.outcomes, self.applied, self.dead = dict(outcomes), dict(applied), set(dead)
        self.own = [set() for _ in range(PHONES)]
        for d in range(PHONES):
            self._sign_in(d)

    @rule()
    def purge(self) -> None:
        super().purge()
        self.long_ago |= {made.id for book in self.books for made in book if not made.word}
        self.books = [[made for made in book if made.id not in self.long_ago] for book in self.books]
        self.keep_service()
        self.kept = self.kept[-1:]

    def _check_books(self, stored: set[int], live: set[int]) -> None:
        history = self.server.history()
        deleted = self.long_ago | {made.id for book in self.books for made in book if not made.word}
        for phone, book in zip(self.phones, self.books, strict=True):
            for made in {made.id: made for made in book}.values():
                if made.word:
                    known = made.id in deleted or made.id in history or made.word in phone.words()
                    assert known, f"I2: {made} is nowhere"
                else:
                    assert made.id in self.never or made.id not in live, f"I3: {made}, and it is there"
