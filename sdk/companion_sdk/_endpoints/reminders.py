"""Plans that make nudges, where nudges go, and what became of each."""

from collections.abc import Sequence
from datetime import date
from types import NoneType
from uuid import UUID

from companion_sdk._call import Call, Endpoint, Pages, State, Steps, ask, path_id, path_patient, query_of
from companion_sdk.paging import Page
from companion_sdk.wire import Endpoint as EndpointAnswer
from companion_sdk.wire import EndpointIn, Nudge, NudgePage, Plan, PlanIn, PlanList
from companion_sdk.wire.nudges import NudgeState

PLANS_GET = Endpoint("GET", "/v1/patients/{patient}/plans", PlanList)
PLAN_GET = Endpoint("GET", "/v1/patients/{patient}/plans/{plan}", Plan)
PLAN_PUT = Endpoint("PUT", "/v1/patients/{patient}/plans/{plan}", Plan, PlanIn)
PLAN_DELETE = Endpoint("DELETE", "/v1/patients/{patient}/plans/{plan}", NoneType)
ENDPOINT_PUT = Endpoint("PUT", "/v1/me/endpoints/{endpoint}", EndpointAnswer, EndpointIn)
ENDPOINT_DELETE = Endpoint("DELETE", "/v1/me/endpoints/{endpoint}", NoneType)
NUDGES_GET = Endpoint("GET", "/v1/patients/{patient}/nudges", NudgePage)


class Plans:
    """When to remind of what, on the patient's own wall clock."""

    @staticmethod
    def list(*, patient: UUID | str = "me") -> Call[Sequence[Plan]]:
        """Every plan, each with the moment it is next due.

        Example::

            for plan in client.plans.list():
                print(plan.plan.about, plan.plan.times, plan.next_due)
        """
        return PLANS_GET.call(ids={"patient": path_patient(patient)}).then(lambda answer: answer.items)

    @staticmethod
    def get(id: UUID | str, *, patient: UUID | str = "me") -> Call[Plan]:
        """One plan.

        Example::

            for plan in client.plans.list():
                print(client.plans.get(plan.id))
        """
        return PLAN_GET.call(ids={"patient": path_patient(patient), "plan": path_id(id)})

    @staticmethod
    def create(state: State, plan: PlanIn, *, patient: UUID | str = "me") -> Steps[Plan]:
        """Make a plan under a new id.

        Example::

            from companion_sdk import PlanIn

            evening = PlanIn(about="mood", times=["20:30"], window_minutes=90, channels=["email"])
            plan = client.plans.create(evening)
            print(plan.next_due)
        """
        return (yield from ask(Plans.put(state.clock.uuid7(), plan, patient=patient)))

    @staticmethod
    def put(id: UUID | str, plan: PlanIn, *, patient: UUID | str = "me") -> Call[Plan]:
        """Store a whole plan under an id: make it, or replace it. Safe to repeat.

        Example::

            from uuid import uuid4
            from companion_sdk import PlanIn, QuietHours

            quiet = QuietHours(from_="22:00", to="07:00")
            morning = PlanIn(about="sobriety", times=["08:00"], window_minutes=60, channels=["email"], quiet=quiet)
            plan = client.plans.put(uuid4(), morning)
            print(plan.revision)
        """
        return PLAN_PUT.call(ids={"patient": path_patient(patient), "plan": path_id(id)}, body=plan)

    @staticmethod
    def delete(id: UUID | str, *, patient: UUID | str = "me") -> Call[None]:
        """End a plan; nudges not sent yet are dropped.

        Example::

            for plan in client.plans.list():
                client.plans.delete(plan.id)
        """
        return PLAN_DELETE.call(ids={"patient": path_patient(patient), "plan": path_id(id)})


class Endpoints:
    """Where your nudges go."""

    @staticmethod
    def create(state: State, endpoint: EndpointIn) -> Steps[EndpointAnswer]:
        """Add an address under a new id.

        Example::

            from companion_sdk import EmailEndpoint

            endpoint = client.endpoints.create(EmailEndpoint(address="ana@example.org"))
            print(endpoint.channel, endpoint.state)
        """
        return (yield from ask(Endpoints.put(state.clock.uuid7(), endpoint)))

    @staticmethod
    def put(id: UUID | str, endpoint: EndpointIn) -> Call[EndpointAnswer]:
        """Store an address under an id: make it, or replace it. Safe to repeat.

        Example::

            from uuid import uuid4
            from companion_sdk import WebhookEndpoint

            endpoint = client.endpoints.put(uuid4(), WebhookEndpoint(url="https://example.org/nudges"))
            print(endpoint.state)
        """
        return ENDPOINT_PUT.call(ids={"endpoint": path_id(id)}, body=endpoint)

    @staticmethod
    def delete(id: UUID | str) -> Call[None]:
        """Remove an address; nothing goes there any more.

        Example::

            from companion_sdk import EmailEndpoint

            endpoint = client.endpoints.create(EmailEndpoint(address="ana@example.org"))
            client.endpoints.delete(endpoint.id)
        """
        return ENDPOINT_DELETE.call(ids={"endpoint": path_id(id)})


class Nudges:
    """Every nudge with what was decided and what was delivered."""

    @staticmethod
    def list(
        *,
        state: NudgeState | None = None,
        from_: date | None = None,
        to: date | None = None,
        limit: int = 100,
        cursor: str | None = None,
        patient: UUID | str = "me",
    ) -> Pages[Nudge]:
        """Nudges, newest due first. ``reason`` says why each is as it is.

        Example::

            for nudge in client.nudges.list(state="sent"):
                print(nudge.due_at, nudge.state, nudge.reason)

        Args:
            state: only this state, such as ``sent`` or ``withheld``.
            from_: from this local day on, inclusive.
            to: up to this local day, inclusive.
            limit: nudges in a page (1–500), not in all.
            cursor: resume after a page's ``next``.
            patient: whose nudges; your own if left out.
        """
        query = query_of(state=state, from_=from_, to=to, limit=limit, cursor=cursor)
        call = NUDGES_GET.call(ids={"patient": path_patient(patient)}, query=query)
        return Pages(call.then(lambda page: Page(items=page.items, next=page.next)))
