"""How the code uses its statements: with the right parameters, without trust in an order that nobody promised."""

import ast
import re
from collections.abc import Iterator
from types import SimpleNamespace

from support.sources import ROOT, calls, files, name, tree
from support.statements import modules

from companion.core.sql import Statement


def uses(root: ast.Module, module: object) -> Iterator[tuple[ast.Call, Statement, bool]]:
    """Each ``tx.one|all|run(STATEMENT, …)`` of a module, and whether it trusts the order of what a change returns."""
    around = {child: parent for parent in ast.walk(root) for child in ast.iter_child_nodes(parent)}
    for node in ast.walk(root):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("one", "all", "run"):
            statement = getattr(module, node.args[0].id, None) if node.args and isinstance(node.args[0], ast.Name) else None
            if isinstance(statement, Statement):
                parent = around.get(node)
                called = parent.func.id if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) else ""
                many = node.func.attr == "all" and "RETURNING" in statement.text
                yield node, statement, many and called not in ("sorted", "len", "set", "frozenset")


def given_and_taken(call: ast.Call, statement: Statement) -> bool:
    """Whether the names a call gives are the statement's parameters."""
    given = {keyword.arg for keyword in call.keywords if keyword.arg}
    taken = set(re.findall(r":(\w+)", statement.sqlite))
    spread = len(given) < len(call.keywords)
    return given <= taken if spread else given == taken


def test_every_parameter_is_given_and_every_one_given_is_used() -> None:
    seen = 0
    for path, module in modules().items():
        for call, statement, _ in uses(tree(path), module):
            seen += 1
            assert given_and_taken(call, statement), f"{name(path)}:{call.lineno}"
    assert seen > 40


def test_a_parameter_too_many_or_too_few_is_seen() -> None:
    statement = Statement("SELECT at FROM beats WHERE name = :name")
    for call, right in (
        ("run(S, name=1)", True),
        ("run(S, name=1, at=2)", False),
        ("run(S)", False),
        ("run(S, **all)", True),
    ):
        node = ast.parse(call, mode="eval").body
        assert isinstance(node, ast.Call)
        assert given_and_taken(node, statement) is right


def test_nobody_trusts_the_order_of_returning() -> None:
    """Many rows that a change returns come in any order: sort, count or put them into a set at once."""
    for path, module in modules().items():
        assert [f"{name(path)}:{call.lineno}" for call, _, trusts in uses(tree(path), module) if trusts] == []


def test_trust_in_the_order_of_returning_is_seen() -> None:
    module = SimpleNamespace(CLAIM=Statement("DELETE FROM beats WHERE at < :at RETURNING name"))
    for code, expected in (("[f(row) for row in tx.all(CLAIM, at=1)]", True), ("sorted(tx.all(CLAIM, at=1))", False)):
        assert [trusts for _, _, trusts in uses(ast.parse(code), module)] == [expected]


def test_every_statement_is_made_by_sql_and_so_stands_here() -> None:
    for path in files("companion"):
        made = {called for called, _ in calls(tree(path))}
        assert not made & {"Statement", "sql.Statement"} or path == ROOT / "companion/core/sql.py", name(path)


def test_no_slice_catches_a_drivers_errors() -> None:
    """After a failed statement PostgreSQL ends the transaction: use ON CONFLICT DO NOTHING or ``nested``."""
    catching: set[str] = set()
    for path in files("companion"):
        for node in ast.walk(tree(path)):
            words = ast.unparse(node.type) if isinstance(node, ast.ExceptHandler) and node.type is not None else ""
            if re.search(r"sqlite3|psycopg|IntegrityError|UniqueViolation", words):
                catching.add(name(path))
    assert {path for path in catching if not path.startswith(("companion/core/", "companion/commands/"))} == set()
    assert "companion/core/sqlite.py" in catching
