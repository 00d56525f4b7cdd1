"""Every example of the SDK: of its docstrings, by method and by class, and of its README."""

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import companion_sdk
from companion_sdk._endpoints import RESOURCES

README = Path(companion_sdk.__file__).parents[1] / "README.md"
_EXAMPLE = re.compile(r"^Example::\n\n((?:    .*\n|\n)+)", re.MULTILINE)


def methods(client: type) -> Iterator[tuple[str, str]]:
    """Every public method of a client with its docstring."""
    for name in RESOURCES:
        resource = inspect.signature(getattr(client, name).fget).return_annotation
        for method, doc in of(resource):
            yield f"{name}.{method}", doc
    for method in ("sign_in", "sign_in_with_code", "sign_out"):
        yield method, inspect.getdoc(getattr(client, method)) or ""


def of(owner: type) -> Iterator[tuple[str, str]]:
    """Every public method of a class, but ``close``, with its docstring."""
    for name, function in inspect.getmembers(owner, inspect.isfunction):
        if not name.startswith("_") and name != "close":
            yield name, inspect.getdoc(function) or ""


def example(doc: str) -> str:
    """The example of a docstring."""
    found = _EXAMPLE.search(doc + "\n")
    assert found, "no example"
    return textwrap.dedent(found[1])


def blocks() -> list[str]:
    """The README's blocks of Python."""
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def program(body: str, head: str) -> str:
    """A block as the body of a function."""
    return f"{head}\n{textwrap.indent(body, '    ')}\n\n"
