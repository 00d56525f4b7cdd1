"""Fixtures for pytest, there as soon as the SDK is installed. Nothing but pytest is loaded until one is used."""

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from companion_sdk import AsyncCompanion, Companion, Diary

    from .fake import FakeService, Person
    from .network import Network


@pytest.fixture
def companion_service() -> "FakeService":
    """A Companion service in memory."""
    from .fake import FakeService

    return FakeService()


@pytest.fixture
def companion_ana(companion_service: "FakeService") -> "Person":
    """Ana, a patient of the service, signed in."""
    return companion_service.patient("Ana")


@pytest.fixture
def companion_network(companion_service: "FakeService") -> "Network":
    """The network between the clients and the service: a good one, until the test says otherwise."""
    from .network import Network

    return Network(companion_service.transport)


@pytest.fixture
def companion(
    companion_service: "FakeService", companion_ana: "Person", companion_network: "Network"
) -> "Generator[Companion]":
    """Ana's client."""
    with companion_service.client(companion_ana, over=companion_network) as client:
        yield client


@pytest.fixture
def async_companion(
    companion_service: "FakeService", companion_ana: "Person", companion_network: "Network"
) -> "AsyncCompanion":
    """Ana's client for asyncio. It holds no connection, so nothing is left open when the test's loop ends."""
    return companion_service.async_client(companion_ana, over=companion_network)


@pytest.fixture
def companion_diary(companion: "Companion", tmp_path: Path) -> "Generator[Diary]":
    """Ana's diary on her phone, in a folder of the test's own."""
    from companion_sdk import Diary

    with Diary(tmp_path / "diary.db", client=companion) as diary:
        yield diary
