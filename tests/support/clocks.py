"""A clock the test moves."""

from datetime import UTC, datetime, timedelta


class ManualClock:
    """Stands still until the test moves it; monotonic time moves with it unless ``step`` is used."""

    def __init__(self, at: datetime = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)) -> None:
        self._now = at
        self._ran = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._ran

    def advance(self, **span: float) -> None:
        """Time passes."""
        passed = timedelta(**span)
        self._now += passed
        self._ran += passed.total_seconds()

    def set(self, at: datetime) -> None:
        """Time passes until ``at``."""
        self._ran += max((at - self._now).total_seconds(), 0.0)
        self._now = at

    def step(self, **span: float) -> None:
        """Somebody set the wall clock: no time passed."""
        self._now += timedelta(**span)
