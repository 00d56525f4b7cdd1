"""What a person sees of the SDK: names, signatures, docstrings; the same in both clients, generated and fresh."""

import importlib.util
import inspect
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import companion_sdk
from companion_sdk import AsyncCompanion, Companion, _version, wire
from companion_sdk._call import Endpoint
from companion_sdk._endpoints import RESOURCES

SDK = Path(companion_sdk.__file__).parents[1]


def resource(client: type, name: str) -> type:
    return inspect.signature(getattr(client, name).fget).return_annotation


def public(owner: type) -> dict[str, typing.Any]:
    return {n: f for n, f in inspect.getmembers(owner, inspect.isfunction) if not n.startswith("_")}


def pairs() -> Iterator[tuple[str, typing.Any, typing.Any]]:
    """Every public method twice: as the sync and as the async client has it."""
    owners = [("client", Companion, AsyncCompanion)]
    owners += [(name, resource(Companion, name), resource(AsyncCompanion, name)) for name in RESOURCES]
    for name, sync, other in owners:
        assert public(sync).keys() == public(other).keys(), name
        for method, function in public(sync).items():
            yield f"{name}.{method}", function, public(other)[method]


PAIRS = list(pairs())
WALKED = {companion_sdk.Listing: companion_sdk.AsyncListing, companion_sdk.Hints: companion_sdk.AsyncHints}
EVERY = [pytest.param(sync, other, id=name) for name, sync, other in PAIRS]


@pytest.mark.parametrize(("sync", "other"), EVERY)
def test_both_clients_take_the_same_and_give_the_same(sync, other):
    one, two = inspect.signature(sync), inspect.signature(other)
    assert one.parameters == two.parameters
    walked = WALKED.get(typing.get_origin(one.return_annotation))
    if walked:
        assert typing.get_origin(two.return_annotation) is walked
        assert typing.get_args(one.return_annotation) == typing.get_args(two.return_annotation)
    else:
        assert one.return_annotation == two.return_annotation
    assert inspect.iscoroutinefunction(other) is not bool(walked)


@pytest.mark.parametrize("method", [pytest.param(m, id=f"{n}-{i}") for n, *both in PAIRS for i, m in enumerate(both)])
def test_every_method_is_written_out(method):
    signature = inspect.signature(method)
    assert inspect.getdoc(method), "no docstring"
    for parameter in signature.parameters.values():
        assert parameter.kind is not parameter.VAR_KEYWORD
        assert parameter.kind is not parameter.VAR_POSITIONAL
        assert parameter.name == "self" or parameter.annotation is not parameter.empty
    shown = f"{signature}"
    assert "Any" not in shown
    assert "httpx2" not in shown
    assert signature.return_annotation is not signature.empty


def test_both_clients_are_made_the_same_way():
    one, two = inspect.signature(Companion.__init__).parameters, inspect.signature(AsyncCompanion.__init__).parameters
    assert [(p.name, p.kind, p.default) for p in one.values()] == [(p.name, p.kind, p.default) for p in two.values()]
    assert {n for n in one if one[n].annotation != two[n].annotation} == {"transport"}
    assert inspect.getdoc(Companion.__init__) == inspect.getdoc(AsyncCompanion.__init__)


def test_a_call_is_bounded_unless_told_otherwise():
    given = {name: p.default for name, p in inspect.signature(Companion.__init__).parameters.items()}
    named = ("connect_timeout", "timeout", "deadline", "retries")
    assert [given[name] for name in named] == [5.0, 20.0, 60.0, 2]


def test_no_name_is_made_up_on_the_way():
    for owner in (Companion, AsyncCompanion, *(resource(Companion, n) for n in RESOURCES)):
        assert not hasattr(owner, "__getattr__")


def test_every_endpoint_of_the_table_is_used_by_a_method():
    for path in sorted((SDK / "companion_sdk" / "_endpoints").glob("[a-z]*.py")):
        module = importlib.import_module(f"companion_sdk._endpoints.{path.stem}")
        source = path.read_text()
        rows = [name for name, value in vars(module).items() if isinstance(value, Endpoint)]
        unused = [row for row in rows if f"{row}.call(" not in source]
        assert unused == [], f"{path.stem}: rows without a method"


def test_the_generated_files_are_fresh():
    spec = importlib.util.spec_from_file_location("generate", SDK / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files = module.files()
    stale = [path.name for path, text in files.items() if not path.exists() or path.read_text() != text]
    assert stale == [], "run: python sdk/generate.py"
    present = set((SDK / "companion_sdk" / "resources").rglob("*.py"))
    assert present == files.keys()


def test_all_is_exactly_the_public_names():
    listed = {name: getattr(companion_sdk, name) for name in dir(companion_sdk) if not name.startswith("_")}
    named = {name for name, value in listed.items() if not inspect.ismodule(value)} - {"TYPE_CHECKING"}
    assert named == set(companion_sdk.__all__)
    assert len(companion_sdk.__all__) == len(named)


def test_everything_a_method_takes_or_gives_can_be_imported_from_the_top():
    shown: set[type] = set()
    for _, sync, _ in PAIRS:
        for part in [*inspect.signature(sync).parameters.values()]:
            shown |= structs(part.annotation)
        shown |= structs(inspect.signature(sync).return_annotation)
    assert {s.__name__ for s in shown} <= set(companion_sdk.__all__)
    assert companion_sdk.Mood in shown


def structs(annotation: object) -> set[type]:
    """The structs inside an annotation, and inside the fields of those."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        inner = [structs(field.type) for field in msgspec.structs.fields(annotation)]
        return {annotation}.union(*inner) if annotation.__module__.startswith("companion_sdk") else set()
    return set().union(*(structs(part) for part in typing.get_args(annotation)))


def test_every_kind_can_be_imported_from_the_top():
    assert {struct.__name__ for struct in wire.KINDS.values()} <= set(companion_sdk.__all__)


def test_the_version_is_the_packages_own():
    told = tomllib.loads((SDK / "pyproject.toml").read_text())["project"]["version"]
    assert told == _version.VERSION
