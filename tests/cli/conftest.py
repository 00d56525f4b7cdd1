"""The fixtures of the command line: itself, and a life with a hand that changes it."""

from support.cli import cli
from support.life import hand, life

__all__ = ["cli", "hand", "life"]
