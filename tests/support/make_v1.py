"""Makes the database of version 1 that is kept in the tree: ``python tests/support/make_v1.py``.

Until the first release it may be made again when the schema changes; from then on it must never be, for what it holds has to
open for ever. What stands in it is invented, and its key file is no secret.
"""

import asyncio
import gzip
import json
import shutil
import sys
import tempfile
from io import StringIO
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[2]
HOME = ROOT / "tests" / "data" / "v1"
FILES = {"v1.sqlite.gz": "companion.db", "v1-keys.sqlite.gz": "companion.db-keys.db", "v1.masterkey": "companion.db.key"}
"""Name in the tree, and beside a service."""

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from companion import running, settings  # noqa: E402
from companion.core import backup, keys  # noqa: E402
from companion.core.lines import Lines  # noqa: E402
from support.cast import gather  # noqa: E402
from support.clocks import ManualClock  # noqa: E402
from support.life import live  # noqa: E402


async def make(folder: Path) -> dict[str, Any]:
    """A life of a day in March 2026 in a fresh folder; what Ana reads of it."""
    clock = ManualClock()
    chosen = settings.read({}, database=f"sqlite:///{folder}/companion.db", port=0, scheduler=False)
    service = await running.start(chosen, clock=clock, lines=Lines(clock, "error", "text", StringIO()))
    try:
        async with httpx2.AsyncClient(base_url=service.url, timeout=30) as http:
            cast = await gather(service, http)
            await live(cast)
            paths = ("logs", "consents", "disclosures", "plans")
            read = {path: (await cast.ana.get(f"/v1/patients/me/{path}")).json() for path in paths}
            return {"ana": str(cast.ana.id), **read}
    finally:
        await service.stop()


def keep(folder: Path, read: dict[str, Any]) -> None:
    """Put a service's files into the tree, packed and each as one whole file."""
    HOME.mkdir(parents=True, exist_ok=True)
    for name, beside in FILES.items():
        source, target = folder / beside, HOME / name
        if name.endswith(".gz"):
            whole = folder / name
            sort, newest = ("keys", keys.SCHEMA) if "keys" in name else ("data", 1)
            backup.save(source, whole, sort, newest)
            target.write_bytes(gzip.compress(whole.read_bytes(), mtime=0))
        else:
            shutil.copy(source, target)
            target.chmod(0o644)
    (HOME / "read.json").write_text(json.dumps(read, indent=1, sort_keys=True) + "\n")


def unpack(folder: Path) -> None:
    """Lay the kept files out beside each other as a service has them."""
    for name, beside in FILES.items():
        content = (HOME / name).read_bytes()
        target = folder / beside
        target.write_bytes(gzip.decompress(content) if name.endswith(".gz") else content)
        target.chmod(0o600)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        keep(Path(made), asyncio.run(make(Path(made))))
