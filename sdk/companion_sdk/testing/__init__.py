"""Companion for the tests of your app: a service in memory, a bad network, a clock you own, and the real service.

    from companion_sdk import Mood
    from companion_sdk.testing import FakeService, Network

    fake = FakeService()
    ana = fake.patient("Ana")
    network = Network(fake.transport)
    with fake.client(ana, over=network) as client:
        network.lose_reply()
        client.logs.record(Mood(mood=4))
    assert len(fake.entries(ana)) == 1

With pytest, the fixtures ``companion_service``, ``companion``, ``async_companion``, ``companion_network`` and
``companion_diary`` are there as soon as the SDK is installed. *Provisional*: names here may still change.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clock import Clock
    from .fake import AnyTransport, Exchange, FakeService, Person, Snapshot
    from .network import Network
    from .serving import ServedService, serve

__all__ = ["AnyTransport", "Clock", "Exchange", "FakeService", "Network", "Person", "ServedService", "Snapshot", "serve"]

_WHERE = {
    "Clock": "clock",
    "AnyTransport": "fake",
    "Exchange": "fake",
    "FakeService": "fake",
    "Person": "fake",
    "Snapshot": "fake",
    "Network": "network",
    "ServedService": "serving",
    "serve": "serving",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for: whoever has only the fixtures installed pays nothing."""
    from importlib import import_module

    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
