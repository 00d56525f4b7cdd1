"""What a person wrote or is called stands in clear nowhere: not in the log, the database, its WAL, or a copy of it."""

import sqlite3
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from support.cast import Cast, Person, monday, new_clinician
from support.engines import Engine
from support.stage import stage

WORD = "ZZPHI"


async def live(cast: Cast) -> list[str]:
    """A life with the word in every place where a person may write; the secrets that were told on the way."""
    ana, cleo = cast.ana, cast.cleo
    secrets = [ana.token, cleo.token]
    doctor = await new_clinician(cast.running, cast.http, cast.north, f"Doctor {WORD}")
    named = {"name": f"Patient {WORD}", "email": f"{WORD}@example.org", "zone": "Asia/Kathmandu"}
    invite = (await doctor.post("/v1/invites", named)).json()
    unused = (await doctor.post("/v1/invites", named)).json()
    secrets += [doctor.token, invite["code"], unused["code"], invite["code"].replace("-", "")]
    request = {"method": "invite", "code": invite["code"], "device": {"name": f"Phone {WORD}", "zone": "Asia/Kathmandu"}}
    signed = await cast.http.post("/v1/sign-in", json=request)
    person = Person("P", signed.json()["access_token"], cast.http, ana.id)
    secrets.append(person.token)
    await person.patch("/v1/me", {"name": f"Other {WORD}", "language": "en"})
    made = await person.post(
        "/v1/me/tokens", {"name": f"App {WORD}", "scopes": ["logs:read"]}, headers={"Idempotency-Key": WORD}
    )
    secrets.append(made.json()["token"])
    log = await person.log(monday(), kind="mood", mood=1, emotions=[WORD], note=f"words {WORD}", safe="no")
    await person.log(monday(), kind="note", text=WORD * 10)
    use = {"substance": f"other:{WORD}", "unit": WORD}
    await person.log(monday(), kind="sobriety", sober=False, uses=[use], triggers=[WORD], note=WORD)
    await person.log(monday(), kind="coping", skill=WORD, situation=WORD, note=WORD)
    changed = person.entry(monday(), kind="mood", mood=2, note=f"{WORD} again")
    where = f"/v1/patients/me/logs/{log['id']}"
    assert (await person.put(where, changed, headers={"If-Match": '"1"'})).status_code == 200
    assert (await person.put(where, changed | {"zone": "UTC"}, headers={"If-Match": '"1"'})).status_code == 412
    await person.delete(where)
    given = await person.consent(doctor.id, signature=f"Signed {WORD}", text_version=WORD)
    patient = signed.json()["me"]["id"]
    assert (await doctor.get(f"/v1/patients/{patient}/logs?kind=note")).status_code == 200
    await person.post(f"/v1/patients/me/consents/{given['id']}/revoke")
    plan = {"about": "custom", "times": ["20:30"], "window_minutes": 60, "channels": ["email"], "text": f"Take {WORD}"}
    assert (await person.put(f"/v1/patients/me/plans/{uuid4()}", plan)).status_code == 200
    endpoint = {"channel": "email", "address": f"{WORD}@example.org"}
    assert (await person.put(f"/v1/me/endpoints/{uuid4()}", endpoint)).status_code == 200
    for bad in ({WORD: 1}, {"name": WORD, "zone": WORD}, {"name": WORD * 100}):
        await person.patch("/v1/me", bad)
    await person.get(f"/v1/patients/{WORD}/logs?kind={WORD}")
    return secrets


def found_in(content: bytes, words: list[str]) -> list[str]:
    folded = content.lower()
    return [word for word in words if word.lower().encode() in folded or word.lower().encode("utf-16-le") in folded]


def sqlite_files(path: Path, folder: Path) -> dict[str, bytes]:
    """Every file of the service, and a copy of the database as a backup makes it."""
    copy = folder / "backup.copy"
    with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def postgres_rows(url: str) -> bytes:
    """Every row of every table as bytes: hexadecimal columns decoded."""
    parts: list[bytes] = []
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'.encode()).fetchall():
                parts += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return b"\n".join(parts)


@pytest.mark.parametrize("style", ["text", "json"])
async def test_the_word_is_in_no_file_and_in_no_line(start: Any, engine: Engine, tmp_path: Path, style: str) -> None:
    log = StringIO()
    async with stage(start, log=log, log_format=style, log_level="debug") as cast:
        secrets = await live(cast)
        words = [WORD, *secrets]
        cast.running.lines.flush()
        assert found_in(log.getvalue().encode(), words) == []
        if engine.name == "postgres":
            assert found_in(postgres_rows(engine.options["database"]), words) == []
            assert found_in(postgres_rows(engine.options["keys_database"]), words) == []
            return
        files = sqlite_files(Path(engine.options["database"].removeprefix("sqlite:///")), tmp_path)
        assert any(name.endswith("-wal") and content for name, content in files.items())
        assert len(files) >= 4
        for name, content in files.items():
            assert found_in(content, words) == [], name
            assert found_in(content, ['mood":', "emotions", "example.org"]) == [], name


async def test_the_search_would_find_what_is_clear(start: Any, engine: Engine, tmp_path: Path) -> None:
    """A clinic's name is no person's: it lies in clear, and the search above finds it."""
    async with stage(start) as cast:
        assert (await cast.ana.get("/v1/me")).status_code == 200
        if engine.name == "postgres":
            assert found_in(postgres_rows(engine.options["database"]), ["North Street"]) == ["North Street"]
            return
        files = sqlite_files(Path(engine.options["database"].removeprefix("sqlite:///")), tmp_path)
        assert any(found_in(content, ["North Street"]) for content in files.values())
