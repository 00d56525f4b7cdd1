"""What lies on disk after a nudge's whole life: it verifies, and nothing that was written stands in clear.

That a changed column is found is shown for every table in ``tests/custody/test_verify.py``.
"""

from uuid import uuid4

import pytest
from support.cast import Person
from support.nudging import Desk, plan, put_hook, put_plan
from support.receivers import Hook

from companion.core.actors import Operator
from companion.core.sql import Statement
from companion.custody import service as custody

OPERATOR = Operator("test")
TABLES = ("plans", "endpoints", "nudges", "deliveries")


@pytest.fixture
async def lived(ana: Person, desk: Desk, hook: Hook) -> Person:
    """Ana after a retry, a withheld nudge, a move and a changed plan."""
    await put_hook(ana, hook)
    await ana.put(f"/v1/me/endpoints/{uuid4()}", {"channel": "email", "address": "marigold@example.org"})
    hook.answers = [503, 204]
    made = await put_plan(ana, plan("20:30", text="Marigold"))
    await put_plan(ana, plan("20:45"), plan_id=uuid4())
    await desk.at("2026-03-03T01:30:00")
    await ana.mood(desk.clock.now())
    await desk.at("2026-03-03T01:45:00")
    await ana.patch("/v1/me", {"zone": "America/Chicago"})
    await ana.delete(f"/v1/patients/me/plans/{made['id']}")
    await desk.at("2026-03-04T02:45:00")
    assert len(hook.received) >= 2
    return ana


async def test_every_row_of_it_opens_and_is_looked_at_again_where_work_remains(lived: Person, desk: Desk) -> None:
    report = await desk.running.db.read(OPERATOR, custody.verify)
    assert report.faults == []
    assert all(report.rows[table] for table in TABLES)


async def test_nothing_she_wrote_stands_in_clear(lived: Person, desk: Desk) -> None:
    for table in TABLES:
        everything = Statement(f"SELECT * FROM {table}")
        found = await desk.running.db.read(OPERATOR, lambda tx, actor, statement=everything: tx.all(statement))
        assert found
        text = b" ".join(value if isinstance(value, bytes) else repr(value).encode() for row in found for value in row)
        for word in (b"arigold", b"example.org", b"whsec_", b"127.0.0.1"):
            assert word not in text, (table, word)
