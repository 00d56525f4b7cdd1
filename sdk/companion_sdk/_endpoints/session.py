"""Signing in and out: the methods that stand on the client itself."""

from types import NoneType
from uuid import UUID

from companion_sdk._call import Endpoint, State, Steps, ask, path_id
from companion_sdk.wire import CodeSignIn, DeviceIn, InviteSignIn, SignedIn, SignIn

SIGN_IN = Endpoint("POST", "/v1/sign-in", SignedIn, SignIn, signed=False)
SIGN_OUT = Endpoint("POST", "/v1/sign-out", NoneType)


class Session:
    """Signing in and out, and everything the service offers by resource."""

    @staticmethod
    def sign_in(state: State, code: str, *, device: str, zone: str, device_id: UUID | str | None = None) -> Steps[SignedIn]:
        """Sign in a patient with the code of an invite; the client then speaks for that patient.

        Example::

            signed = client.sign_in("K7QF-2M9D", device="Ana's phone", zone="America/New_York")
            print(signed.me.name, signed.expires_at)

        Args:
            code: the invite's code; it works once, for seven days.
            device: what the person calls this device, as they will see it among their devices.
            zone: the device's IANA time zone.
            device_id: this device's own UUID if it has one, else one is made. The same code with the same id works
                again for ten minutes, so a lost answer locks nobody out.

        Returns:
            The token (keep it safely: it is shown only here), when it ends, and who signed in.
        """
        chosen = state.clock.uuid7() if device_id is None else UUID(path_id(device_id))
        body = InviteSignIn(code=code, device=DeviceIn(name=device, zone=zone, id=chosen))
        signed = yield from ask(SIGN_IN.call(body=body, repeatable=True))
        return _remember(state, signed)

    @staticmethod
    def sign_in_with_code(state: State, code: str) -> Steps[SignedIn]:
        """Sign in a clinician with a one-time code; the client then speaks for that clinician.

        Example::

            signed = client.sign_in_with_code("W3XT-8RJP-5HVN-C2KM")
            print(signed.me.role)

        Args:
            code: the code the clinic's operator made; it works once, for fifteen minutes.
        """
        signed = yield from ask(SIGN_IN.call(body=CodeSignIn(code=code)))
        return _remember(state, signed)

    @staticmethod
    def sign_out(state: State) -> Steps[None]:
        """End this token on the service and forget it here.

        Example::

            client.sign_out()
        """
        yield from ask(SIGN_OUT.call())
        state.token = state.person_zone = None


def _remember(state: State, signed: SignedIn) -> SignedIn:
    state.token = signed.access_token
    state.person_zone = signed.me.zone
    return signed
