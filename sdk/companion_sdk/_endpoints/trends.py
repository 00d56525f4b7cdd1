"""What the diary says over time: daily series and the sobriety ledger."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from companion_sdk._call import Call, Endpoint, path_patient, query_of
from companion_sdk.wire import SobrietySummary
from companion_sdk.wire import Trends as TrendsAnswer

TRENDS_GET = Endpoint("GET", "/v1/patients/{patient}/trends", TrendsAnswer)
SOBRIETY_GET = Endpoint("GET", "/v1/patients/{patient}/sobriety", SobrietySummary)


class TrendReports:
    """Daily series: what changed, and whether it is more than chance."""

    @staticmethod
    def get(
        *,
        from_: date | None = None,
        to: date | None = None,
        series: str | Sequence[str] | None = None,
        patient: UUID | str = "me",
    ) -> Call[TrendsAnswer]:
        """Daily points, smoothing, the person's own baseline, alarms and drift for each series.

        Example::

            trends = client.trends.get(series=["mood", "craving"])
            for name, series in trends.series.items():
                print(name, len(series.points), series.missing.share, series.not_yet)

        Args:
            from_: first local day; 90 days back if left out.
            to: last local day; today if left out.
            series: one name or several, such as ``mood``; all if left out.
            patient: whose diary; your own if left out.
        """
        query = query_of(from_=from_, to=to, series=series)
        return TRENDS_GET.call(ids={"patient": path_patient(patient)}, query=query)


class SobrietyLedger:
    """The sobriety ledger: a later use lowers neither the longest run nor the total."""

    @staticmethod
    def get(*, substance: str | None = None, on: date | None = None, patient: UUID | str = "me") -> Call[SobrietySummary]:
        """Days since the last use, how many of them are confirmed, the longest run and the total.

        Example::

            ledger = client.sobriety.get(substance="alcohol")
            print(ledger.days_since_use, ledger.longest, ledger.total_confirmed)

        Args:
            substance: such as ``alcohol`` or ``other:kratom``; any use if left out.
            on: the local day to judge on; today if left out.
            patient: whose diary; your own if left out.
        """
        query = query_of(substance=substance, on=on)
        return SOBRIETY_GET.call(ids={"patient": path_patient(patient)}, query=query)
