"""The bell that rings when a nudge may be due before the next beat."""

from ..core.bell import Bell

DUE: Bell[[]] = Bell()
