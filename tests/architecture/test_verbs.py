"""Every verb asks who may before it does anything; every handler is three lines; no file grows past reading."""

import ast
from collections.abc import Iterator
from pathlib import Path

from litestar.handlers import HTTPRouteHandler
from support.sources import ROOT, calls, dotted, files, functions, holds_sql, name, statements, tree

from companion import app
from companion.web import openapi

SHELL = {"core", "web", "bench", "commands", "demo", "docs", "migrations"}
"""Folders that hold no verb of a slice."""

NO_VERBS = ("gate", "routes", "rules", "sync_routes")
"""Modules of a slice where what takes an actor is not a verb: the gate itself is what is asked."""

VERBS = [
    path
    for path in sorted((ROOT / "companion").glob("*/*.py"))
    if path.parent.name not in SHELL and path.stem not in NO_VERBS and not holds_sql(path)
]

ASKED_ELSEWHERE = {
    "companion/consent/service.py:invite": "hands on at once to a verb of people, or to the gate for a patient she has",
    "companion/logs/service.py:as_shown": "the end of verbs that each asked: what of a refusal they may see",
    "companion/people/signing.py:sign_in": "whoever has a code may use it; nobody is signed in yet",
    "companion/people/signing.py:make_invite": "the end of three verbs that each asked",
    "companion/people/signing.py:repeated": "the Idempotency-Key of verbs that each asked",
}
"""Functions with (tx, actor, …) that touch data or pass the actor on before they ask, with why that is right."""


def _public() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in VERBS:
        for function in functions(path):
            if not function.name.startswith("_") and isinstance(function, ast.FunctionDef):
                yield f"{name(path)}:{function.name}", function


def asks(first: ast.stmt) -> bool:
    """Whether a statement asks who may: the actor, the gate, a check that takes the actor alone, or a refusal by role."""
    if isinstance(first, ast.If) and any(dotted(node).startswith("actor.") for node in ast.walk(first.test)):
        return isinstance(first.body[0], ast.Raise)
    for called, call in calls(first):
        arguments = [dotted(argument) for argument in call.args]
        if called.startswith("actor.") or (called.startswith("gate.") and "actor" in arguments) or arguments == ["actor"]:
            return True
    return False


def before_data(function: ast.FunctionDef) -> ast.stmt:
    """The first statement that touches the unit of work or the actor; what stands before it knows neither."""
    for statement in statements(function):
        if {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)} & {"tx", "actor"}:
            return statement
    return statements(function)[0]


def test_every_verb_first_asks_who_may() -> None:
    verbs = {
        place: function
        for place, function in _public()
        if [parameter.arg for parameter in function.args.args][:2] == ["tx", "actor"]
    }
    assert len(verbs) > 20
    silent = {place for place, function in verbs.items() if not asks(before_data(function))}
    assert silent - ASKED_ELSEWHERE.keys() == set()
    stale = ASKED_ELSEWHERE.keys() - silent
    assert stale == set(), "reasons for verbs that ask, or that are gone"


def test_the_check_sees_a_verb_that_forgets() -> None:
    def first(source: str) -> bool:
        function = ast.parse(source).body[0]
        assert isinstance(function, ast.FunctionDef)
        return asks(before_data(function))

    assert first("def f(tx, actor, p):\n 'doc'\n grant = gate.to_read(tx, actor, p)")
    assert first("def f(tx, actor):\n actor.known()")
    assert first("def f(tx, actor):\n if actor.role != 'operator':\n  raise NotFound")
    assert first("def f(tx, actor):\n _operator(actor)")
    assert first("def f(tx, actor, p):\n wanted = p or all\n grant = gate.to_read(tx, actor, p)")
    assert not first("def f(tx, actor, p):\n row = store.log(tx, p)\n actor.known()")
    assert not first("def f(tx, actor, p):\n row = store.log(tx, actor, p)")
    assert not first("def f(tx, actor):\n if actor.role == 'operator':\n  tx.run(x)")


# handlers


def _handlers() -> list[HTTPRouteHandler]:
    return [handler for handler in app.HANDLERS if isinstance(handler, HTTPRouteHandler)]


def test_every_handler_has_an_id_a_tag_and_a_sentence() -> None:
    handlers = _handlers()
    assert len(handlers) == len(app.HANDLERS) > 20
    ids = [handler.operation_id for handler in handlers]
    assert None not in ids
    assert len(set(ids)) == len(ids)
    assert [handler.operation_id for handler in handlers if not (handler.fn.__doc__ or "").strip()] == []
    listed = [handler for handler in handlers if handler.include_in_schema is not False]
    assert [handler.operation_id for handler in listed if not set(handler.tags or ()) & openapi.TAGS.keys()] == []


def test_no_handler_holds_a_rule() -> None:
    """At most three statements: a handler reads the request, calls one verb, answers."""
    long: list[str] = []
    written: set[str] = set()
    for path in [*sorted((ROOT / "companion").glob("*/*routes.py")), ROOT / "companion/web/about.py"]:
        for function in functions(path):
            if ids := _operation_ids(function):
                written.update(ids)
                if len(statements(function)) > 3:
                    long.append(f"{name(path)}:{function.name}")
    assert long == []
    assert written == {handler.operation_id for handler in _handlers()}, "handlers that app.py does not list, or lists twice"


def _operation_ids(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    return [
        keyword.value.value
        for decoration in function.decorator_list
        for _, call in calls(decoration)
        for keyword in call.keywords
        if keyword.arg == "operation_id" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)
    ]


# sizes

LINES = 450
LONG: dict[str, str] = {}
"""Files past the limit, with the reason."""


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_no_file_is_too_long_to_read() -> None:
    every = files("companion", "sdk", "tests", "examples")
    long = {name(path) for path in every if _lines(path) > LINES}
    assert long == LONG.keys()


def test_every_module_says_what_it_is_for() -> None:
    assert [name(path) for path in files("companion", "sdk/companion_sdk") if ast.get_docstring(tree(path)) is None] == []
