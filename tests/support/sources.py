"""The project's own source files, read as syntax trees by the tests of its architecture."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


def name(path: Path) -> str:
    """A file's place in the repository, as people write it."""
    return path.relative_to(ROOT).as_posix()


def files(*folders: str) -> list[Path]:
    """Every Python file below some folders of the repository, in order."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found, folders
    return found


@cache
def tree(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of a name or an attribute; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def calls(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Every call inside, with the dotted name of what is called."""
    for found in ast.walk(node):
        if isinstance(found, ast.Call) and (called := dotted(found.func)):
            yield called, found


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of every import in a file, also of those inside functions; dots of a relative one kept."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (("." * node.level + (node.module or ""), alias.name) for alias in node.names)


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions at the top of a file."""
    return [node for node in tree(path).body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def statements(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """A function's statements after its docstring."""
    return function.body[1:] if ast.get_docstring(function) is not None else function.body


def holds_sql(path: Path) -> bool:
    """Whether a file is a store: it makes statements."""
    return any(called == "sql" for called, _ in calls(tree(path)))
