"""The phones a patient is signed in on, and the scoped tokens they gave to third parties."""

from datetime import timedelta
from uuid import UUID

from companion_sdk import wire

from ..core.actors import Actor
from ..core.clock import instant, micros
from ..core.db import Tx
from ..core.errors import NotFound, Problem
from ..core.ids import digest, new_token
from . import keys, signing


def devices(tx: Tx, actor: Actor) -> wire.DeviceList:
    """The phones that are signed in."""
    patient = actor.patient()
    live = [token for token in keys.tokens(tx, patient) if token.kind == "device" and _live(tx, token)]
    return wire.DeviceList(
        items=[
            wire.Device(
                id=token.device_id or token.id,
                name=token.label.name,
                zone=token.label.zone,
                created_at=instant(token.created_at),
                expires_at=instant(token.expires_at),
                current=token.id == actor.token_id,
            )
            for token in live
        ]
    )


def _live(tx: Tx, token: keys.TokenRow) -> bool:
    return token.revoked_at is None and token.expires_at > micros(tx.now)


def sign_out_device(tx: Tx, actor: Actor, device: UUID) -> None:
    """Sign out one of one's own phones; again is the same."""
    patient = actor.patient()
    found = [token for token in keys.tokens(tx, patient) if token.kind == "device" and token.device_id == device]
    if not found:
        raise NotFound
    for token in found:
        if token.revoked_at is None:
            keys.revoke(tx, token)


def tokens(tx: Tx, actor: Actor) -> wire.TokenList:
    """The third-party tokens a patient gave out and has not ended."""
    patient = actor.patient()
    live = [token for token in keys.tokens(tx, patient) if token.kind == "app" and _live(tx, token)]
    return wire.TokenList(items=[_third_party(token) for token in live])


def _third_party(token: keys.TokenRow, secret: str | None = None) -> wire.Token:
    return wire.Token(
        id=token.id,
        name=token.label.name,
        scopes=token.scopes.split(),
        created_at=instant(token.created_at),
        expires_at=instant(token.expires_at),
        token=secret,
    )


def make_token(tx: Tx, actor: Actor, request: wire.TokenIn, key: str | None = None) -> wire.Token:
    """A scoped token for a third party. A repeat names the same token with a new secret; the first secret ends."""
    patient = actor.patient()
    assert actor.clinic_id is not None
    made = signing.repeated(tx, actor, "me/tokens", key, request)
    secret = new_token()
    before = None if made is None else keys.token(tx, made)
    if before is not None:
        if not _live(tx, before):
            raise Problem("conflict", "The token made with this Idempotency-Key has ended")
        return _third_party(keys.renew(tx, before, digest(secret)), secret)
    row = signing.token_row(
        tx,
        secret,
        "app",
        actor.clinic_id,
        tx.now + timedelta(days=request.days),
        patient=patient,
        scopes=" ".join(sorted(set(request.scopes))),
        label=keys.Label(name=request.name),
        id=made,
    )
    keys.add_token(tx, row)
    return _third_party(row, secret)


def end_token(tx: Tx, actor: Actor, token_id: UUID) -> None:
    """End a third-party token; again is the same."""
    patient = actor.patient()
    token = keys.token(tx, token_id)
    if token is None or token.patient_id != patient or token.kind != "app":
        raise NotFound
    if token.revoked_at is None:
        keys.revoke(tx, token)
