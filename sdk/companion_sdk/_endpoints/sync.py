"""Sync, one request at a time, and the crisis plan. ``Diary`` does all of it by itself; this is what it is made of."""

from collections.abc import Sequence
from uuid import UUID

from companion_sdk._call import Call, Endpoint, Stream, path_patient, query_of
from companion_sdk.wire import Changed, Changes, Digest, Log, PlanSection, Push, Pushed, SafetyPlan

SYNC_PUSH = Endpoint("POST", "/v1/patients/{patient}/sync/push", Pushed, Push)
SYNC_PULL = Endpoint("GET", "/v1/patients/{patient}/sync/pull", Changes)
SYNC_DIGEST = Endpoint("GET", "/v1/patients/{patient}/sync/digest", Digest)
SYNC_STREAM = Endpoint("GET", "/v1/patients/{patient}/sync/stream", Changed)
SAFETY_PLAN_GET = Endpoint("GET", "/v1/patients/{patient}/safety-plan", Log)
SAFETY_PLAN_PUT = Endpoint("PUT", "/v1/patients/{patient}/safety-plan", Log, SafetyPlan)


class DiarySync:
    """Sync, one request at a time; ``Diary`` does it for you, offline and for ever."""

    @staticmethod
    def push(push: Push, *, patient: UUID | str = "me") -> Call[Pushed]:
        """Send operations of one device. Safe to repeat: each is applied once, and a repeat gets its first outcome.

        Example::

            from datetime import UTC, datetime
            from uuid import uuid4
            from companion_sdk import LogIn, Note, Push, PushOp

            evening = datetime(2026, 11, 2, 20, 30, tzinfo=UTC)
            said = LogIn(at=evening, zone="America/New_York", body=Note(text="Quiet day"))
            first = PushOp(n=1, op=uuid4(), id=uuid4(), base=0, log=said)
            pushed = client.sync.push(Push(device=uuid4(), sent_at=evening, ops=[first]))
            for result in pushed.results:
                print(result.n, result.outcome, result.revision)

        Args:
            push: up to 200 operations in the order of their numbers.
            patient: whose diary; your own if left out.

        Returns:
            What became of each, up to the one that stopped the push. A refused operation is a result, not an error.
        """
        return SYNC_PUSH.call(ids={"patient": path_patient(patient)}, body=push, repeatable=True)

    @staticmethod
    def pull(cursor: str | None = None, limit: int = 500, patient: UUID | str = "me") -> Call[Changes]:
        """The next page of changes after a cursor; without one, of everything there is.

        Example::

            changes = client.sync.pull()
            for entry in changes.changes:
                print(entry.id, entry.revision, "deleted" if entry.deleted else entry.body)
            later = client.sync.pull(changes.cursor)
            print(len(later.changes), later.more)

        Args:
            cursor: the last page's ``cursor``, opaque and yours alone.
            limit: the most changes in a page (1–1000).
            patient: whose diary; your own if left out.

        Raises:
            CursorExpired: begin again without a cursor, and drop what does not come again.
        """
        query = query_of(cursor=cursor, limit=limit)
        return SYNC_PULL.call(ids={"patient": path_patient(patient)}, query=query)

    @staticmethod
    def digest(through: int | None = None, patient: UUID | str = "me") -> Call[Digest]:
        """Proof of what the service stores: a count and a hash to compare with ``wire.canonical.digest`` of your own copy.

        Example::

            proof = client.sync.digest()
            print(proof.count, proof.sha256, proof.through)

        Args:
            through: up to this ``seq``; up to now if left out.
            patient: whose diary; your own if left out.
        """
        return SYNC_DIGEST.call(ids={"patient": path_patient(patient)}, query=query_of(through=through))

    @staticmethod
    def stream(last_seq: int | None = None, patient: UUID | str = "me") -> Stream[Changed]:
        """Hints, as they happen, that there is something to pull. Loop over them; the connection mends itself.

        Example::

            with client.sync.stream() as hints:
                for hint in hints:
                    print("changed up to", hint.seq)
                    break

        Args:
            last_seq: the newest change you have; a hint comes at once where there is a newer one. Without it the first
                hint comes at once.
            patient: whose diary; your own if left out.
        """
        return Stream(SYNC_STREAM.call(ids={"patient": path_patient(patient)}), event="changed", last_id=last_seq)


class CrisisPlan:
    """The patient's own crisis plan: sections of text in the order to read them."""

    @staticmethod
    def get(patient: UUID | str = "me") -> Call[Log]:
        """The plan as an entry whose body is a ``SafetyPlan``.

        Example::

            from companion_sdk import SafetyPlan

            plan = client.safety_plan.get()
            if isinstance(plan.body, SafetyPlan):
                for section in plan.body.sections:
                    print(section.title, section.text)

        Args:
            patient: whose plan; your own if left out.

        Raises:
            NotFound: there is none yet.
        """
        return SAFETY_PLAN_GET.call(ids={"patient": path_patient(patient)})

    @staticmethod
    def put(sections: Sequence[PlanSection], *, if_match: int | None = None, patient: UUID | str = "me") -> Call[Log]:
        """Write the plan, or correct the one you have read. A stale copy never overwrites a newer plan.

        Example::

            from companion_sdk import PlanSection

            plan = client.safety_plan.get()
            plan = client.safety_plan.put([PlanSection(title="I can call", text="Cleo")], if_match=plan.revision)
            print(plan.revision)

        Args:
            sections: the whole plan, at most 20 sections; an empty list empties it.
            if_match: the revision you correct; needed once there is a plan.
            patient: whose plan; your own if left out.

        Raises:
            RevisionRequired: there is another plan and ``if_match`` was not given.
            RevisionMismatch: someone changed it since; ``error.current`` is what is stored.
        """
        headers = () if if_match is None else (("If-Match", f'"{if_match}"'),)
        ids = {"patient": path_patient(patient)}
        return SAFETY_PLAN_PUT.call(ids=ids, body=SafetyPlan(sections=sections), headers=headers)
