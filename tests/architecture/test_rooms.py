"""Who may know whom: the order of the rooms, and which files alone may do what."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.sources import ROOT, calls, files, holds_sql, imports, name, tree

SERVER = files("companion")
SDK = files("sdk/companion_sdk")

CLOCKS = {
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "datetime.datetime.now", "datetime.date.today"),
    *("time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns"),
}
CHANCES = {"os.urandom", "uuid.uuid1", "uuid.uuid4", "uuid1", "uuid4", "AESGCM.generate_key", "urandom"}
CHANCE_MODULES = {"random", "secrets"}

MEASURED = {
    "companion/bench": "a bench measures real seconds and fills tables with noise",
    "companion/demo": "the demo waits for real processes and tells how long a promise took",
}
"""Folders outside the rooms that no verb runs in, with why they may read a clock and make noise."""

READS_CLOCK = {
    "companion/core/clock.py": "the one place",
    "sdk/companion_sdk/_clock.py": "the SDK's one place",
}
MAKES_CHANCE = {
    "companion/core/ids.py": "the one place",
    "companion/core/vault.py": "nonces and keys",
    "companion/core/postgres.py": "how long to wait before a unit that met another one runs again",
    "sdk/companion_sdk/_clock.py": "the SDK's one place",
    "sdk/companion_sdk/_diary/seal.py": "nonces and salts",
    "sdk/companion_sdk/_trip.py": "a request id when the caller names none",
}


def test_the_rooms_keep_their_order() -> None:
    """``.importlinter``, run as ``.ci/run`` runs it."""
    command = [Path(sys.executable).with_name("lint-imports"), "--config", ROOT / ".importlinter", "--no-cache"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-2000:]


def _measured(path: Path) -> bool:
    return any(name(path).startswith(f"{folder}/") for folder in MEASURED)


def _where(found: Callable[[Path], bool]) -> set[str]:
    return {name(path) for path in [*SERVER, *SDK] if not _measured(path) and found(path)}


def _calls_one_of(names: set[str]) -> Callable[[Path], bool]:
    return lambda path: any(called in names for called, _ in calls(tree(path)))


def _imports_one_of(modules: set[str]) -> Callable[[Path], bool]:
    return lambda path: any(module.split(".")[0] in modules for module, _ in imports(path))


def test_time_is_read_in_one_place() -> None:
    assert _where(_calls_one_of(CLOCKS)) == set(READS_CLOCK)


def test_chance_is_made_in_few_places() -> None:
    by_call, by_import = _where(_calls_one_of(CHANCES)), _where(_imports_one_of(CHANCE_MODULES))
    assert by_call | by_import == set(MAKES_CHANCE)


def test_only_the_scheduler_knows_the_heartbeat_library() -> None:
    assert _where(_imports_one_of({"apscheduler"})) <= {"companion/scheduler.py"}


def test_only_consent_makes_a_grant() -> None:
    """A store gives out patient data for a ``Grant`` only, so a forgotten check is a type error."""
    made = _where(_calls_one_of({"Grant", "gate.Grant", "consent.gate.Grant"}))
    makers = {maker for maker in made if maker.startswith("companion/")}  # the SDK's test double has a type of that name
    assert makers
    assert all(maker.startswith("companion/consent/") for maker in makers), makers


def test_a_measured_folder_is_there() -> None:
    assert [folder for folder in MEASURED if not (ROOT / folder).is_dir()] == []


# stores

ROOMS = {path.parent.name for path in SERVER if path.name == "service.py"}
STORES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in SERVER
    if path.parent.name in ROOMS and holds_sql(path)
}
"""Modules that hold the SQL of a slice."""

NEVER = ("routes", "rules", "events")
"""Modules of a slice that never touch its store: they ask its service, or nobody."""


def _store_imports() -> Iterator[tuple[str, str]]:
    """(importing file, imported store) for every store of a slice."""
    for path in SERVER:
        for module, imported in imports(path):
            absolute = _absolute(path, module)
            for store in {absolute, f"{absolute}.{imported}"} & STORES:
                yield name(path), store


def _absolute(path: Path, module: str) -> str:
    level = len(module) - len(module.lstrip("."))
    if not level:
        return module
    package = list(path.relative_to(ROOT).parts[:-1])
    return ".".join([*package[: len(package) - level + 1], *([module.lstrip(".")] if module.lstrip(".") else [])])


def test_a_store_is_touched_by_its_own_slice_only() -> None:
    """Custody reads rows of every table, by their names, for verify and export; nobody else reads another slice's."""
    strangers: list[str] = []
    for importer, store in _store_imports():
        room = store.split(".")[1]
        own = importer.startswith(f"companion/{room}/") and Path(importer).stem not in NEVER
        if not own and not importer.startswith("companion/custody/"):
            strangers.append(f"{importer} -> {store}")
    assert strangers == []
    assert {"companion.logs.store", "companion.people.store", "companion.people.keys", "companion.consent.store"} <= STORES


@pytest.mark.parametrize(
    ("module", "absolute"),
    [(".", "companion.logs"), ("..core", "companion.core"), (".store", "companion.logs.store"), ("os.path", "os.path")],
)
def test_relative_imports_are_followed(module: str, absolute: str) -> None:
    assert _absolute(ROOT / "companion/logs/service.py", module) == absolute
