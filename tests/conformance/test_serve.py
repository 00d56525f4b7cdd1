"""The real service for an app's tests, by its command line."""

import importlib.metadata

import httpx2
import pytest

import companion_sdk as sdk
from companion_sdk import Mood
from companion_sdk.testing import Network, serve


def test_people_speak_to_the_real_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPANION_DATABASE", "sqlite:////nowhere/else.db")
    with serve() as served:
        ana, cleo = served.patient("Ana", zone="Asia/Kathmandu"), served.clinician("Cleo")
        entry = ana.logs.record(Mood(mood=4))
        assert (entry.zone, ana.me.get().name) == ("Asia/Kathmandu", "Ana")
        with pytest.raises(sdk.NotFound):
            cleo.logs.get(entry.id, patient=entry.patient_id)
        ana.consents.grant(cleo.me.get().id, ["mood"])
        assert cleo.logs.get(entry.id, patient=entry.patient_id) == entry
        phone = sdk.Companion(served.base_url)
        phone.sign_in(served.invite(entry.patient_id), device="second", zone="UTC")
        assert phone.sync.pull().changes == [entry]
        phone.close()
        patients = served.command("patient", "list")["items"]
        assert isinstance(patients, list)
        assert len(patients) == 1
        folder = served.folder
    assert not folder.exists()
    with sdk.Companion(served.base_url, retries=0) as late, pytest.raises(sdk.ConnectionFailed):
        late.health.live()


async def test_for_asyncio_too() -> None:
    with serve() as served:
        async with served.async_patient("Ana") as ana:
            assert (await ana.logs.record(Mood(mood=4))).revision == 1


def test_a_bad_network_in_front_of_the_real_service() -> None:
    with serve() as served:
        ana = served.patient("Ana")
        network = Network(httpx2.HTTPTransport())
        with sdk.Companion(served.base_url, ana._link.state.token, transport=network, zone="UTC") as client:
            network.lose_reply()
            first = client.logs.record(Mood(mood=4))
            network.duplicate()
            second = client.logs.record(Mood(mood=3))
            network.corrupt()
            with pytest.raises(sdk.InvalidResponse):
                client.me.get()
            network.reorder()
            third = client.logs.record(Mood(mood=2))
        assert network.counts == {"sent": 6, "lose_reply": 1, "duplicate": 1, "corrupt": 1, "reorder": 1}
        assert ana.sync.pull().changes == [first, second, third]


def test_where_the_service_is_not_installed_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("companion_sdk.testing.serving.version", missing)
    with pytest.raises(ModuleNotFoundError, match="companion-iop"), serve():
        pass


def test_a_service_that_does_not_start_says_why() -> None:
    with pytest.raises(RuntimeError, match="COMPANION_LOG_LEVEL"), serve({"log_level": "loud"}):
        pass


def test_a_command_that_fails_says_why() -> None:
    with serve() as served, pytest.raises(RuntimeError, match=r"companion invite failed: .*nobody"):
        served.command("invite", "0192e4a0-0000-7000-8000-000000000001")
