"""Who may see a diary, and who saw what."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from companion_sdk._call import Call, Endpoint, Pages, State, Steps, ask, path_id, path_patient, query_of
from companion_sdk.paging import Page
from companion_sdk.wire import Consent, ConsentIn, ConsentList, Disclosure, DisclosurePage
from companion_sdk.wire.consents import Purpose

CONSENTS_GET = Endpoint("GET", "/v1/patients/{patient}/consents", ConsentList)
CONSENT_PUT = Endpoint("PUT", "/v1/patients/{patient}/consents/{consent}", Consent, ConsentIn)
CONSENT_REVOKE = Endpoint("POST", "/v1/patients/{patient}/consents/{consent}/revoke", Consent)
DISCLOSURES_GET = Endpoint("GET", "/v1/patients/{patient}/disclosures", DisclosurePage)


class Consents:
    """Who may see which kinds of entry, until when (42 CFR 2.31)."""

    @staticmethod
    def list(*, patient: UUID | str = "me") -> Call[Sequence[Consent]]:
        """Every consent, also those that ended.

        Example::

            for consent in client.consents.list():
                print(consent.recipient, consent.categories, consent.active)
        """
        return CONSENTS_GET.call(ids={"patient": path_patient(patient)}).then(lambda answer: answer.items)

    @staticmethod
    def grant(
        state: State,
        recipient: UUID | str,
        categories: Sequence[str],
        *,
        purpose: Purpose = "treatment",
        from_: datetime | None = None,
        until: datetime | None = None,
        text_version: str = "1",
        signature: str | None = None,
        id: UUID | str | None = None,
        patient: UUID | str = "me",
    ) -> Steps[Consent]:
        """Let a clinician or a clinic see some kinds of your entries.

        Example::

            me = client.me.get()
            consent = client.consents.grant(me.clinicians[0].id, ["mood", "sobriety"], signature="Ana")
            print(consent.active)

        Args:
            recipient: the clinician's or clinic's id.
            categories: kinds of entry, such as ``mood``.
            purpose: what for.
            from_: from when; now if left out.
            until: until when; until revoked if left out.
            text_version: the version of the text the patient read.
            signature: the name the patient typed.
            id: the consent's own UUID if you made one; one is made if left out.
            patient: whose diary; your own if left out.
        """
        body = ConsentIn(
            recipient=UUID(path_id(recipient)),
            categories=categories,
            purpose=purpose,
            from_=from_,
            until=until,
            text_version=text_version,
            signature=signature,
        )
        return (yield from Consents.put(state, id, body, patient=patient))

    @staticmethod
    def put(state: State, id: UUID | str | None, consent: ConsentIn, *, patient: UUID | str = "me") -> Steps[Consent]:
        """Store a whole consent under an id you made (None makes one). Safe to repeat.

        Example::

            from companion_sdk import ConsentIn

            me = client.me.get()
            consent = client.consents.put(None, ConsentIn(recipient=me.clinicians[0].id, categories=["mood"]))
            print(consent.id)
        """
        chosen = state.clock.uuid7() if id is None else id
        ids = {"patient": path_patient(patient), "consent": path_id(chosen)}
        return (yield from ask(CONSENT_PUT.call(ids=ids, body=consent)))

    @staticmethod
    def revoke(id: UUID | str, *, patient: UUID | str = "me") -> Call[Consent]:
        """End a consent at once: from now on its recipient sees nothing. Ending it twice is fine.

        Example::

            for consent in client.consents.list():
                client.consents.revoke(consent.id)
        """
        ids = {"patient": path_patient(patient), "consent": path_id(id)}
        return CONSENT_REVOKE.call(ids=ids, repeatable=True)


class Disclosures:
    """Who saw what of your record."""

    @staticmethod
    def list(*, limit: int = 100, cursor: str | None = None, patient: UUID | str = "me") -> Pages[Disclosure]:
        """Every look at the record, newest first: who, when, what, under which consent.

        Example::

            for look in client.disclosures.list():
                print(look.at, look.recipient_name, look.categories)

        Args:
            limit: looks in a page (1–500), not in all.
            cursor: resume after a page's ``next``.
            patient: whose record; your own if left out.
        """
        query = query_of(limit=limit, cursor=cursor)
        call = DISCLOSURES_GET.call(ids={"patient": path_patient(patient)}, query=query)
        return Pages(call.then(lambda page: Page(items=page.items, next=page.next)))
