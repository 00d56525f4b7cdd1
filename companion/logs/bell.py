"""The bell that rings when a patient's diary has changed."""

from uuid import UUID

from ..core.bell import Bell

CHANGED: Bell[[UUID]] = Bell()
