"""Every example in a docstring of the SDK and every block of its README runs against the test double."""

import ast
import inspect

import httpx2
import pytest
from support.sdk_examples import blocks, example, methods, of

import companion_sdk
from companion_sdk import AsyncCompanion, AsyncDiary, AsyncHints, AsyncListing, Companion, Diary, Hints, Listing
from companion_sdk.testing import FakeService


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
    client.safety_plan.put([companion_sdk.wire.PlanSection(title="Signs", text="I stop answering the phone")])


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
    carry_by(httpx2.MockTransport(service), monkeypatch)
    await run(example(inspect.getdoc(client_class) or ""))
    assert service.seen


@pytest.mark.parametrize("walked", [Listing, Hints])
async def test_the_example_of_what_is_walked_runs(walked, client, some_entries, capsys):
    await run(example(inspect.getdoc(walked) or ""), client=client)
    assert capsys.readouterr().out


@pytest.mark.parametrize("walked", [AsyncListing, AsyncHints])
async def test_the_example_of_what_is_walked_without_blocking_runs(walked, async_client, some_entries, capsys):
    await run(example(inspect.getdoc(walked) or ""), client=async_client)
    assert capsys.readouterr().out


@pytest.fixture
def fake() -> FakeService:
    return FakeService()


@pytest.mark.parametrize(("name", "doc"), list(of(Diary)))
async def test_the_example_of_a_diary_runs(name, doc, fake, tmp_path, capsys):
    ana = fake.patient("Ana")
    with fake.client(ana) as client, Diary(tmp_path / "ana.diary", client) as diary:
        for mood in (2, 3):
            diary.record(companion_sdk.Mood(mood=mood))
        await run(example(doc).replace("K7QF-2M9D", fake.invite(ana)), diary=diary)
    assert f"diary.{name}(" in example(doc)


@pytest.mark.parametrize(("name", "doc"), list(of(AsyncDiary)))
async def test_the_example_of_an_async_diary_runs(name, doc, fake, tmp_path, capsys):
    ana = fake.patient("Ana")
    async with fake.async_client(ana) as client, AsyncDiary(tmp_path / "ana.diary", client) as diary:
        for mood in (2, 3):
            await diary.record(companion_sdk.Mood(mood=mood))
        await run(example(doc).replace("K7QF-2M9D", fake.invite(ana)), diary=diary)
    assert f"diary.{name}(" in example(doc)


@pytest.mark.parametrize("diary", [Diary, AsyncDiary])
async def test_the_example_of_a_diary_in_whole_runs(diary, fake, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    carry_by(fake.transport, monkeypatch)
    ana = fake.patient("Ana")
    await run(example(inspect.getdoc(diary) or "").replace("cmp_your_token", ana.token))
    assert (tmp_path / "ana.diary").exists()


@pytest.mark.parametrize("block", blocks())
async def test_a_block_of_the_readme_runs(block, fake, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    if "FakeService" not in block:  # such a block brings its own
        carry_by(fake.transport, monkeypatch)
    ana = fake.patient("Ana")
    await run(block.replace("cmp_your_token", ana.token).replace("K7QF-2M9D", fake.invite(ana)), httpx2=httpx2)


def test_the_readme_has_blocks():
    assert len(blocks()) >= 5


def carry_by(transport, monkeypatch):
    """Let clients that are given no transport speak over this one."""
    for name in ("Client", "AsyncClient"):
        real = getattr(httpx2, name)
        monkeypatch.setattr(httpx2, name, lambda real=real, **given: real(**{**given, "transport": transport}))
