"""Every statement of the service, after every module of it was imported."""

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType

import companion
from companion.core.sql import STATEMENTS, Statement


@cache
def modules() -> dict[Path, ModuleType]:
    """Every module of the service, imported: after this every statement stands in ``STATEMENTS``."""
    found = [importlib.import_module(found.name) for found in pkgutil.walk_packages(companion.__path__, "companion.")]
    return {Path(module.__file__): module for module in found if module.__file__}


def statements() -> list[Statement]:
    """All of them, in the order of import."""
    modules()
    assert len(STATEMENTS) > 60
    return STATEMENTS
