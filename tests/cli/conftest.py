"""The fixtures of the command line: itself, a life with a hand that changes it, PostgreSQL's own programs."""

from support.cli import cli
from support.elsewhere import tools
from support.life import hand, life

__all__ = ["cli", "hand", "life", "tools"]
