"""Who may ask how often: token buckets, by address for callers without a valid token, by token for the others."""

from collections import OrderedDict

_KEPT = 20_000


class Buckets:
    """Token buckets by key: ``burst`` at once, ``rate`` a second after that. The least recently used are forgotten."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def _level(self, key: str, now: float) -> float:
        level, at = self._levels.get(key, (self._burst, now))
        return min(self._burst, level + (now - at) * self._rate)

    def wait(self, key: str, now: float) -> float:
        """Seconds until the key may ask again; 0 when it may now."""
        level = self._level(key, now)
        return 0.0 if level >= 1 else (1 - level) / self._rate

    def take(self, key: str, now: float) -> None:
        """Count one."""
        self._levels[key] = (max(self._level(key, now) - 1, 0.0), now)
        self._levels.move_to_end(key)
        if len(self._levels) > _KEPT:
            self._levels.popitem(last=False)
