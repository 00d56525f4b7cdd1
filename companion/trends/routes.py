"""HTTP for trends and the sobriety ledger."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from litestar import Response, get
from litestar.params import FromPath
from msgspec import Meta

from companion_sdk import wire
from companion_sdk.wire.kinds import Substance

from ..web import verbs
from ..web.request import Request
from . import rules, service

if TYPE_CHECKING:
    SeriesName = str
else:
    SeriesName = Literal[tuple(rules.SERIES)]


class TrendsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``from`` and ``to`` are local days, both inclusive; ``series`` may be repeated."""

    first: date | None = msgspec.field(name="from", default=None)
    last: date | None = msgspec.field(name="to", default=None)
    series: Annotated[Sequence[SeriesName], Meta(max_length=32)] = ()


class SobrietyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``on`` is a local day; without a substance any use counts."""

    substance: Substance | None = None
    on: date | None = None


@get("/v1/patients/{patient:str}/trends", operation_id="getTrends", tags=["trends"], opt={"query": TrendsQuery})
async def trends(request: Request, patient: FromPath[str]) -> Response[wire.Trends]:
    """Daily series with means; gaps are gaps. Without a range the last 90 days, without names every series."""
    query = request.query(TrendsQuery)
    asked = service.TrendsAsked(query.first, query.last, tuple(query.series))
    return verbs.answer(await request.read(service.trends, patient, asked))


@get("/v1/patients/{patient:str}/sobriety", operation_id="getSobriety", tags=["trends"], opt={"query": SobrietyQuery})
async def sobriety(request: Request, patient: FromPath[str]) -> Response[wire.SobrietySummary]:
    """Days since use, runs that are kept for ever, and what is unknown."""
    query = request.query(SobrietyQuery)
    return verbs.answer(await request.read(service.sobriety, patient, query.substance, query.on))


handlers = [trends, sobriety]
