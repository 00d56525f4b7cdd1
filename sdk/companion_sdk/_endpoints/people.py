"""The signed-in person, their devices and tokens, and invites."""

from collections.abc import Sequence
from types import NoneType
from uuid import UUID

from companion_sdk._call import Call, Endpoint, State, Steps, ask, key, path_id, path_patient
from companion_sdk.wire import (
    Device,
    DeviceList,
    Invite,
    InviteIn,
    Me,
    MePatch,
    MyInviteIn,
    Patient,
    Token,
    TokenIn,
    TokenList,
)
from companion_sdk.wire.people import Scope

ME_GET = Endpoint("GET", "/v1/me", Me)
ME_PATCH = Endpoint("PATCH", "/v1/me", Me, MePatch)
DEVICES_GET = Endpoint("GET", "/v1/me/devices", DeviceList)
DEVICE_DELETE = Endpoint("DELETE", "/v1/me/devices/{device}", NoneType)
TOKENS_GET = Endpoint("GET", "/v1/me/tokens", TokenList)
TOKENS_POST = Endpoint("POST", "/v1/me/tokens", Token, TokenIn)
TOKEN_DELETE = Endpoint("DELETE", "/v1/me/tokens/{token}", NoneType)
INVITES_POST = Endpoint("POST", "/v1/invites", Invite, InviteIn)
MY_INVITES_POST = Endpoint("POST", "/v1/me/invites", Invite, MyInviteIn)
PATIENT_GET = Endpoint("GET", "/v1/patients/{patient}", Patient)


class MyProfile:
    """The signed-in person."""

    @staticmethod
    def get() -> Call[Me]:
        """Who is signed in: role, name, zone, clinic and (for a patient) the clinicians a consent can name.

        Example::

            me = client.me.get()
            print(me.name, me.zone, [clinician.name for clinician in me.clinicians])
        """
        return ME_GET.call()

    @staticmethod
    def update(state: State, *, name: str | None = None, zone: str | None = None, language: str | None = None) -> Steps[Me]:
        """Change your own profile; what is left out stays.

        Example::

            me = client.me.update(zone="America/Los_Angeles")
            print(me.zone)

        Args:
            name: what the service calls you.
            zone: your IANA time zone; nudges follow it from now on.
            language: a language tag such as ``en`` or ``es-US``.
        """
        me = yield from ask(ME_PATCH.call(body=MePatch(name=name, zone=zone, language=language)))
        state.person_zone = me.zone
        return me


class Devices:
    """The devices you are signed in on."""

    @staticmethod
    def list() -> Call[Sequence[Device]]:
        """Every device that is signed in; ``current`` marks the one that asks.

        Example::

            for device in client.devices.list():
                print(device.name, device.current)
        """
        return DEVICES_GET.call().then(lambda answer: answer.items)

    @staticmethod
    def sign_out(id: UUID | str) -> Call[None]:
        """Sign one device out, for example a lost phone.

        Example::

            devices = client.devices.list()
            client.devices.sign_out(devices[0].id)
        """
        return DEVICE_DELETE.call(ids={"device": path_id(id)})


class Tokens:
    """Tokens for apps that may see a part of what you may."""

    @staticmethod
    def list() -> Call[Sequence[Token]]:
        """Every token you gave out, without the secret part.

        Example::

            for token in client.tokens.list():
                print(token.name, token.scopes, token.expires_at)
        """
        return TOKENS_GET.call().then(lambda answer: answer.items)

    @staticmethod
    def create(state: State, name: str, scopes: Sequence[Scope], days: int = 90) -> Steps[Token]:
        """Make a token for an app. Its secret is in the answer's ``token`` and shown nowhere again.

        Example::

            token = client.tokens.create("Running app", ["logs:read", "trends:read"], days=30)
            print(token.expires_at)

        Args:
            name: the app, as you will see it in the list.
            scopes: what the app may do, such as ``logs:read``; all of them are in ``companion_sdk.SCOPES``.
            days: how long it works, at most 365.
        """
        body = TokenIn(name=name, scopes=scopes, days=days)
        return (yield from ask(TOKENS_POST.call(body=body, headers=key(state.clock), repeatable=True)))

    @staticmethod
    def revoke(id: UUID | str) -> Call[None]:
        """End a token at once.

        Example::

            token = client.tokens.create("Running app", ["logs:read"])
            client.tokens.revoke(token.id)
        """
        return TOKEN_DELETE.call(ids={"token": path_id(id)})


class Invites:
    """Codes that let a patient sign in on a phone."""

    @staticmethod
    def create(
        state: State,
        *,
        name: str | None = None,
        zone: str | None = None,
        email: str | None = None,
        patient_id: UUID | str | None = None,
    ) -> Steps[Invite]:
        """As a clinician, invite a new patient, or (``patient_id``) a patient you have to a new phone.

        Example::

            invite = client.invites.create(name="Ana", zone="America/New_York")
            print(invite.expires_at)

        Args:
            name: what the patient is called.
            zone: the patient's IANA time zone.
            email: where the code is sent; without it you hand the code over yourself.
            patient_id: a patient of your clinic who gets another phone.
        """
        patient = None if patient_id is None else UUID(path_id(patient_id))
        body = InviteIn(name=name, zone=zone, email=email, patient_id=patient)
        return (yield from ask(INVITES_POST.call(body=body, headers=key(state.clock), repeatable=True)))

    @staticmethod
    def add_phone(state: State) -> Steps[Invite]:
        """As a patient, make a code that signs you in on a second phone.

        Example::

            invite = client.invites.add_phone()
            print(invite.expires_at)
        """
        return (yield from ask(MY_INVITES_POST.call(body=MyInviteIn(), headers=key(state.clock), repeatable=True)))


class Patients:
    """Patients as a clinician with their consent sees them."""

    @staticmethod
    def get(id: UUID | str) -> Call[Patient]:
        """One patient: name, zone and clinic. Without the patient's consent it is as if there were none (404).

        Example::

            me = client.me.get()
            patient = client.patients.get(me.patient_id or "me")
            print(patient.name, patient.clinic.name)
        """
        return PATIENT_GET.call(ids={"patient": path_patient(id)})
