"""A message to send."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from companion.post.message import Message


def message(**changes: Any) -> Message:
    """A message with made-up opaque values."""
    whole: dict[str, Any] = {
        "nudge_id": UUID(int=7),
        "occurrence": "0123456789abcdef" * 2,
        "patient": "fedcba9876543210" * 2,
        "sent_at": datetime(2026, 3, 3, 1, 30, tzinfo=UTC),
        "language": "en",
        **changes,
    }
    return Message(**whole)
