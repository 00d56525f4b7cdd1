"""Every example in a docstring of the SDK and every block of its README runs against the test double."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

import companion_sdk
from companion_sdk import AsyncCompanion, Companion
from companion_sdk._endpoints import RESOURCES

README = (Path(companion_sdk.__file__).parents[1] / "README.md").read_text()
EXAMPLE = re.compile(r"^Example::\n\n((?:    .*\n|\n)+)", re.MULTILINE)


def methods(client: type) -> Iterator[tuple[str, str]]:
    """Every public method of a client with its docstring."""
    for name in RESOURCES:
        resource = inspect.signature(getattr(client, name).fget).return_annotation
        for method, function in inspect.getmembers(resource, inspect.isfunction):
            if not method.startswith("_"):
                yield f"{name}.{method}", inspect.getdoc(function) or ""
    for method in ("sign_in", "sign_in_with_code", "sign_out"):
        yield method, inspect.getdoc(getattr(client, method)) or ""


def example(doc: str) -> str:
    found = EXAMPLE.search(doc + "\n")
    assert found, "a method without an example"
    return textwrap.dedent(found[1])


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


async def run(code: str, **names: object) -> None:
    """Run a block, awaiting where it does."""
    compiled = compile(code, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, dict(names))
    if inspect.isawaitable(result):
        await result


@pytest.fixture
def some_entries(client):
    for mood in (2, 3, 4):
        client.logs.record(companion_sdk.Mood(mood=mood))
    client.plans.create(companion_sdk.PlanIn(about="mood", times=["08:00"], window_minutes=5, channels=["email"]))
    client.consents.grant(client.me.get().clinicians[0].id, ["mood"])


@pytest.mark.parametrize(("name", "doc"), list(methods(Companion)))
async def test_the_example_of_a_method_runs(name, doc, client, some_entries, capsys):
    await run(example(doc), client=client)
    assert f"client.{name}(" in example(doc)


@pytest.mark.parametrize(("name", "doc"), list(methods(AsyncCompanion)))
async def test_the_example_of_an_async_method_runs(name, doc, async_client, some_entries, capsys):
    await run(example(doc), client=async_client)
    assert "await client." in example(doc) or "async for" in example(doc)


@pytest.mark.parametrize("client_class", [Companion, AsyncCompanion])
async def test_the_example_of_a_client_runs(client_class, service, clock, monkeypatch, capsys):
    carry_by(service, monkeypatch)
    await run(example(inspect.getdoc(client_class) or ""))
    assert service.seen


@pytest.mark.parametrize("block", blocks())
async def test_a_block_of_the_readme_runs(block, service, clock, monkeypatch, capsys):
    carry_by(service, monkeypatch)
    await run(block, httpx2=httpx2)


def test_the_readme_has_blocks():
    assert len(blocks()) >= 5


def carry_by(service, monkeypatch):
    """Let clients that are given no transport speak to the double."""
    transport = httpx2.MockTransport(service)
    for name in ("Client", "AsyncClient"):
        real = getattr(httpx2, name)
        monkeypatch.setattr(httpx2, name, lambda real=real, **given: real(**{**given, "transport": transport}))
