"""HTTP for sign-in, the signed-in person, devices, tokens and a patient's own invites."""

from uuid import UUID

from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody

from companion_sdk import wire

from ..web import verbs
from ..web.request import Request
from . import service


@post("/v1/sign-in", operation_id="signIn", tags=["sign-in"], status_code=200)
async def sign_in(request: Request, data: JSONBody[wire.SignIn]) -> Response[wire.SignedIn]:
    """Exchange an invite's code (patient) or a one-time code (clinician) for a token."""
    return verbs.answer(await request.write(service.sign_in, data))


@post("/v1/sign-out", operation_id="signOut", tags=["sign-in"], status_code=204)
async def sign_out(request: Request) -> None:
    """End the token this call came with."""
    await request.write(service.sign_out)


@get("/v1/me", operation_id="getMe", tags=["me"])
async def me(request: Request) -> Response[wire.Me]:
    """The signed-in person."""
    return verbs.answer(await request.read(service.me))


@patch("/v1/me", operation_id="changeMe", tags=["me"])
async def change_me(request: Request, data: JSONBody[wire.MePatch]) -> Response[wire.Me]:
    """Change one's own name, zone or language; nudges follow the zone."""
    return verbs.answer(await request.write(service.change_me, data))


@get("/v1/me/devices", operation_id="listDevices", tags=["me"])
async def devices(request: Request) -> Response[wire.DeviceList]:
    """The phones that are signed in."""
    return verbs.answer(await request.read(service.devices))


@delete("/v1/me/devices/{device:uuid}", operation_id="signOutDevice", tags=["me"])
async def sign_out_device(request: Request, device: FromPath[UUID]) -> None:
    """Sign out one of one's own phones."""
    await request.write(service.sign_out_device, device)


@get("/v1/me/tokens", operation_id="listTokens", tags=["me"])
async def tokens(request: Request) -> Response[wire.TokenList]:
    """The third-party tokens that are live."""
    return verbs.answer(await request.read(service.tokens))


@post("/v1/me/tokens", operation_id="makeToken", tags=["me"], opt={"repeatable": True})
async def make_token(request: Request, data: JSONBody[wire.TokenIn]) -> Response[wire.Token]:
    """Make a scoped token for a third party; its secret is shown once."""
    return verbs.answer(await request.write(service.make_token, data, request.idempotency_key()), 201)


@delete("/v1/me/tokens/{token:uuid}", operation_id="endToken", tags=["me"])
async def end_token(request: Request, token: FromPath[UUID]) -> None:
    """End a third-party token."""
    await request.write(service.end_token, token)


@post("/v1/me/invites", operation_id="inviteOwnPhone", tags=["me"], opt={"repeatable": True})
async def invite_own_phone(request: Request, data: JSONBody[wire.MyInviteIn]) -> Response[wire.Invite]:
    """A code for one's own second phone."""
    return verbs.answer(await request.write(service.invite_own_phone, data, request.idempotency_key()), 201)


handlers = [
    sign_in,
    sign_out,
    me,
    change_me,
    devices,
    sign_out_device,
    tokens,
    make_token,
    end_token,
    invite_own_phone,
]
