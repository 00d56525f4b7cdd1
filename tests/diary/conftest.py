"""Ana's phones against the fake service: a file each, a network each; what must hold of a file is looked at every time."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.diaries import check, fingerprint

from companion_sdk import Companion, Diary
from companion_sdk.testing import FakeService, Network, Person

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ZONE = "America/New_York"


class Phone:
    """A phone: a diary in a file, a client, and a network of its own."""

    def __init__(self, fake: FakeService, person: Person | str | None, path: Path, **options: Any) -> None:
        self.fake = fake
        self.path = path
        self.options = {"zone": ZONE, **options}
        self.network = Network(fake.transport)
        self.client: Companion = fake.client(person, over=self.network)
        self.diary = Diary(path, self.client, **self.options)

    def reopen(self) -> Diary:
        """The app is started again, as after a crash: nothing is said to the diary that was open."""
        self.diary = Diary(self.path, self.client, **self.options)
        return self.diary

    def sign_in(self, person: Person) -> None:
        """After so long a time that every sign-in has ended."""
        self.diary.sign_in(self.fake.invite(person), device="Ana's phone", zone=ZONE)

    def backup(self) -> Path:
        """What the system's backup holds of the file at this moment."""
        self.diary.close()
        saved = self.path.with_suffix(f".saved-{len(list(self.path.parent.iterdir()))}")
        shutil.copy(self.path, saved)
        self.reopen()
        return saved

    def restore(self, saved: Path) -> Diary:
        """A phone that was lost, from its backup."""
        self.diary.close()
        for beside in self.path.parent.glob(f"{self.path.name}-*"):
            beside.unlink()
        shutil.copy(saved, self.path)
        return self.reopen()

    def sync(self) -> None:
        """Sync until there is nothing to do."""
        for _ in range(60):
            report = self.diary.sync()
            check(self.path)
            if report.done:
                return
            assert report.error is None, report.error
        raise AssertionError("sync does not come to an end")

    def shows(self) -> dict[Any, Any]:
        """Every entry as the person sees it."""
        return {entry.id: entry.body for entry in self.diary.entries()}


@pytest.fixture
def fake() -> FakeService:
    return FakeService(at=NOW)


@pytest.fixture
def ana(fake: FakeService) -> Person:
    return fake.patient("Ana", zone=ZONE)


@pytest.fixture
def phones(fake: FakeService, ana: Person, tmp_path: Path) -> Iterator[Callable[..., Phone]]:
    """Phones of Ana's (or of ``person``): ``phones("first", passphrase=…)``. Each file is whole when the test ends."""
    made: list[Phone] = []

    def phone(name: str = "phone", person: Person | str | None = ana, **options: Any) -> Phone:
        made.append(Phone(fake, person, tmp_path / f"{name}.diary", **options))
        return made[-1]

    yield phone
    for one in made:
        if one.path.exists():
            check(one.path)
        one.diary.close()
        one.client.close()


@pytest.fixture
def phone(phones: Callable[..., Phone]) -> Phone:
    return phones()


@pytest.fixture
def agree(fake: FakeService, ana: Person) -> Callable[..., None]:
    """Fail unless every phone shows just what the service has, and can prove it."""

    def look(*phones: Phone) -> None:
        stored = {log.id: log.body for log in fake.entries(ana)}
        for one in phones:
            assert one.shows() == stored
            assert one.diary.unsent == 0
            assert one.diary.verify().agrees
            assert {entry.state for entry in one.diary.entries()} <= {"sent"}

    return look


__all__ = ["NOW", "ZONE", "Phone", "fingerprint"]
