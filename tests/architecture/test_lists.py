"""Lists that must agree. Where one thing stands in two places, the two are compared here."""

import ast
import json
from typing import Any, get_args

from support.docs import ENTRY, repository_paths, sections
from support.sources import ROOT, calls, dotted, files, functions, name, tree

from companion import app
from companion.core.errors import Problem
from companion.web import openapi
from companion_sdk import wire
from companion_sdk.wire import people
from companion_sdk.wire.kinds import KindName

REDFLAGS = ROOT / "sdk/companion_sdk/clinical/redflags.py"
GOLDEN = ROOT / "tests/contract/golden"
DECISIONS = ROOT / "companion/DECISIONS.md"

UNRAISED = {
    "consent-required": "in the contract for apps that lack the patient's grant; until then they get insufficient-scope",
    "headers-too-large": "the connection answers a bare 431 before there is a request to answer a problem to",
}
"""Words of the contract that nothing raises, with why."""


def test_every_kind_has_a_red_flag_case_and_a_golden_file() -> None:
    cases = {
        dotted(pattern.cls).rpartition(".")[2]
        for node in ast.walk(tree(REDFLAGS))
        if isinstance(node, ast.match_case)
        for pattern in ast.walk(node.pattern)
        if isinstance(pattern, ast.MatchClass)
    }
    structs = {struct.__name__ for struct in wire.KINDS.values()}
    assert cases == structs
    assert {path.stem for path in GOLDEN.glob("*.json")} >= structs


def test_kinds_are_one_list() -> None:
    assert tuple(wire.KINDS) == get_args(KindName)
    assert set(wire.KINDS.values()) == set(get_args(wire.Body))
    assert structs_tagged_by("kind") == set(wire.KINDS.values())


def structs_tagged_by(field: str) -> set[Any]:
    exported = (getattr(wire, exported) for exported in wire.__all__)
    return {one for one in exported if isinstance(one, type) and _tag_field(one) == field}


def _tag_field(struct: type[Any]) -> str | None:
    config = getattr(struct, "__struct_config__", None)
    return None if config is None else config.tag_field


def test_scopes_are_one_list() -> None:
    assert get_args(people.Scope) == wire.SCOPES


def test_channels_are_one_list() -> None:
    tags = {str(struct.__struct_config__.tag) for struct in get_args(wire.EndpointIn)}
    assert tags == set(get_args(wire.nudges.Channel))


def test_every_tag_of_the_document_is_explained() -> None:
    document = json.loads(openapi.encoded(app.build()))
    used = {tag for path in document["paths"].values() for one in path.values() for tag in one["tags"]}
    assert used <= openapi.TAGS.keys()


# problem words


def _raised() -> set[str]:
    """Every word that is made into a problem somewhere: by name, or by a table of them."""
    found: set[str] = set()
    for path in files("companion"):
        for called, call in calls(tree(path)):
            if called == "Problem":
                found |= {one.value for argument in call.args[:1] for one in _constants(argument)}
    for node in ast.walk(tree(ROOT / "companion/core/errors.py")):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "__init__":
            found |= {one.value for argument in node.args[:1] for one in _constants(argument)}
    found |= {str(value) for value in vars(_module("companion.web.problems"))["_BY_STATUS"].values()}
    return found & wire.WORDS.keys()


def _constants(node: ast.AST) -> list[ast.Constant]:
    return [one for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def _module(dotted_name: str) -> Any:
    return __import__(dotted_name, fromlist=["_"])


def test_every_problem_word_is_raised_or_has_a_reason() -> None:
    raised = _raised()
    assert "gone" in raised
    assert wire.WORDS.keys() - raised - UNRAISED.keys() == set()
    assert UNRAISED.keys() & raised == set(), "reasons for words that are raised"


def test_no_word_is_raised_that_the_contract_lacks() -> None:
    unknown: list[str] = []
    for path in files("companion"):
        for called, call in calls(tree(path)):
            if called == "Problem" and call.args and isinstance(word := call.args[0], ast.Constant):
                unknown += [] if word.value in wire.WORDS else [f"{name(path)}: {word.value}"]
    assert unknown == []


def test_the_drawn_tree_of_errors_is_the_tree() -> None:
    """``core/errors.py`` draws its classes once, at its top."""
    drawing = ast.get_docstring(tree(ROOT / "companion/core/errors.py")) or ""
    below = {struct.__name__ for struct in Problem.__subclasses__() if struct.__module__ == "companion.core.errors"}
    drawn = {line.split()[1] for line in drawing.splitlines() if line.lstrip().startswith(("├", "└"))}
    assert drawn == below


# what to touch


def test_the_files_to_touch_exist() -> None:
    """DECISIONS.md, "To add …": each entry names files, and every one of them is there."""
    entries = ENTRY.findall(sections(DECISIONS)["To add a kind, channel, measure or verb, touch these files"])
    assert {what for what, _ in entries} >= {"A kind", "A channel", "A measure", "A verb"}
    for what, text in entries:
        paths = repository_paths(text)
        assert paths, what
        assert [path for path in paths if not list(ROOT.glob(path))] == [], what


def test_every_paragraph_of_decisions_names_files_that_exist() -> None:
    missing = [path for path in repository_paths(DECISIONS.read_text(encoding="utf-8")) if not list(ROOT.glob(path))]
    assert missing == []


def test_the_red_flags_end_in_a_check_of_the_type_checker() -> None:
    """A kind without a ``case`` is a type error, not a silent no."""
    assert any(called == "assert_never" for function in functions(REDFLAGS) for called, _ in calls(function))
