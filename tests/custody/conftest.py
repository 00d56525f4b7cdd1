"""The fixtures of custody: a life, and a hand that changes it from outside."""

from support.life import hand, life

__all__ = ["hand", "life"]
