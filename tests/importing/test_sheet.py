"""A diary from a file: what becomes an entry, what is left out, what is refused; a second import changes nothing."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner
from support.cast import OPERATOR
from support.engines import Engine

from companion.__main__ import cli
from companion.logs import sheet
from companion.people import service as people
from companion_sdk import AsyncCompanion, wire

ANA = UUID("00000000-0000-4000-8000-00000000000a")
MAP = Path(__file__).parents[2] / "examples" / "kossakowski.toml"
SPAN = datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
REAL = Path(__file__).parents[3] / "shared" / "data" / "kossakowski_daily.csv"

# made up, with the columns, gaps and oddities of such files: empty answers, NA, a byte order mark, a row without any answer
MADE_UP = """\ufeffday,date,mood_anxious,mood_cheerf,mood_enthus,mood_irritat,remarks
1,2024-02-28,-3.0,7.0,7.0,1.0,
2,2024-02-29,0.0,4.0,,2.5,"said ""fine"", was not"
4,2024-03-02,NA,,NA,,
5,2024-03-03,1.2,1.0,NA,7.0,
"""


def test_columns_become_fields_on_their_scale() -> None:
    rows, complaints = sheet.entries(MADE_UP, sheet.read_map(MAP.read_text()), ANA, *SPAN)
    assert complaints == []
    assert [row.line for row in rows] == [2, 3, 5]
    assert [row.entry.body for row in rows] == [
        wire.Mood(mood=5, energy=5, anxiety=0, irritability=0),
        wire.Mood(mood=3, anxiety=5, irritability=2),
        wire.Mood(mood=1, anxiety=7, irritability=10),
    ]
    assert {row.entry.source for row in rows} == {"import"}
    assert rows[0].entry.at.isoformat() == "2024-02-28T21:00:00+01:00"


def test_constants_words_and_several_entries_a_row() -> None:
    chosen = sheet.read_map(
        """
        zone = "America/New_York"
        [day]
        column = "when"
        format = "%m/%d/%Y"
        [[entry]]
        kind = "sobriety"
        time = "08:00"
        [entry.fields]
        sober = { column = "used", words = { no = true } }
        craving = { column = "craving" }
        recall = { value = "recalled" }
        [[entry]]
        kind = "note"
        time = "21:30"
        [entry.fields]
        text = { column = "words" }
        """
    )
    rows, complaints = sheet.entries("when,used,craving,words\n3/1/2024,no,4,hello\n3/2/2024,,,\n", chosen, ANA, *SPAN)
    assert complaints == []
    assert [row.entry.body for row in rows] == [
        wire.Sobriety(sober=True, craving=4, recall="recalled"),
        wire.Note(text="hello"),
    ]


@pytest.mark.parametrize(
    ("line", "field", "code"),
    [
        ("1,yesterday,0,4,4,1,", "date", "day"),
        ("1,2024-02-28,very,4,4,1,", "anxiety", "value"),
        ("1,2024-02-28,0,99,4,1,", "mood", "out-of-range"),
        ("1,2024-02-28,0,1e999,4,1,", "mood", "value"),
        ("1,2024-02-28,0,,4,1,", "mood", "required"),
    ],
)
def test_a_wrong_line_is_named_without_its_value(line: str, field: str, code: str) -> None:
    text = MADE_UP.splitlines()[0] + "\n" + line + "\n"
    rows, complaints = sheet.entries(text, sheet.read_map(MAP.read_text()), ANA, *SPAN)
    assert rows == []
    assert complaints == [sheet.Complaint(2, field, code)]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("zone = 1", "does not fit"),
        ("zone = ", "not TOML"),
        ("zone = 'Mars/Olympus'\nday = {column = 'd'}\nentry = []", "time zone"),
        ("zone = 'UTC'\nday = {column = 'd'}\nentry = []", "no [[entry]]"),
        ("zone = 'UTC'\nday = {column = 'd'}\nentry = [{kind = 'tea', time = '21:00', fields = {}}]", "kind"),
        (
            "zone = 'UTC'\nday = {column = 'd'}\nentry = [{kind = 'mood', time = '21:00', fields = {tea = {column = 'c'}}}]",
            "no field",
        ),
        (
            "zone = 'UTC'\nday = {column = 'd'}\nentry = [{kind = 'mood', time = '21:00', fields = {mood = {}}}]",
            "column or a value",
        ),
    ],
)
def test_a_wrong_map_is_refused_with_words(text: str, word: str) -> None:
    with pytest.raises(sheet.BadMap, match=word.replace("[", r"\[").replace("]", r"\]")):
        sheet.read_map(text)


def test_a_day_that_cannot_be_and_one_that_two_lines_tell_differently_are_named() -> None:
    """Before anything is stored; a line that comes twice alike is one entry."""
    head, *days = MADE_UP.splitlines()[0], "1999-12-31", "2024-02-28", "2024-02-28", "2024-02-28", "2031-01-01"
    lines = [f"{place},{day},0,{5 if place == 3 else 4},4,1," for place, day in enumerate(days)]
    rows, complaints = sheet.entries("\n".join((head, *lines)), sheet.read_map(MAP.read_text()), ANA, *SPAN)
    assert [row.line for row in rows] == [3]
    assert [(one.line, one.field, one.code) for one in complaints] == [
        (2, "date", "out-of-range"),
        (5, "date", "repeated"),
        (6, "date", "out-of-range"),
    ]


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(sheet.BadMap, match="mood_cheerf"):
        sheet.entries("date\n2024-01-01\n", sheet.read_map(MAP.read_text()), ANA, *SPAN)


async def new_patient(start) -> UUID:
    service = await start()
    clinic = await service.db.write(OPERATOR, people.add_clinic, "North", "Main Street")
    return await service.db.write(OPERATOR, people.add_patient, clinic, "Ana", "Europe/Amsterdam")


def run(engine: Engine, file: Path, patient: UUID) -> tuple[int, str]:
    storage = [word for name, value in engine.options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    arguments = ["import", "diary", str(file), "--map", str(MAP), "--patient", str(patient), "--json", *storage]
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    code = result.return_value if isinstance(result.return_value, int) else 1
    return code, result.output


async def test_importing_twice_stores_once(start, engine: Engine, tmp_path: Path, in_thread) -> None:
    patient = await new_patient(start)
    file = tmp_path / "diary.csv"
    file.write_text(MADE_UP, "utf-8")
    code, said = await in_thread(run, engine, file, patient)
    assert (code, '"imported": 3' in said) == (0, True), said
    code, said = await in_thread(run, engine, file, patient)
    assert (code, '"unchanged": 3' in said) == (0, True), said


async def test_one_wrong_line_imports_nothing(start, engine: Engine, tmp_path: Path, in_thread) -> None:
    patient = await new_patient(start)
    file = tmp_path / "diary.csv"
    file.write_text(MADE_UP + "6,2024-03-04,0,99,4,1,\n", "utf-8")
    code, said = await in_thread(run, engine, file, patient)
    assert code == 1
    assert '"line": 6' in said
    file.write_text(MADE_UP, "utf-8")
    code, said = await in_thread(run, engine, file, patient)
    assert '"imported": 3' in said


@pytest.mark.skipif(not REAL.exists(), reason="the real diary is not beside this checkout (../shared/data)")
async def test_the_real_diary_is_imported_and_reads_as_it_was(start, engine: Engine, in_thread) -> None:
    with REAL.open(encoding="utf-8") as file:
        source = list(csv.DictReader(file))
    service = await start()
    clinic = await service.db.write(OPERATOR, people.add_clinic, "North", "Main Street")
    patient = await service.db.write(OPERATOR, people.add_patient, clinic, "Ana", "Europe/Amsterdam")
    for counted in ('"imported": 238', '"unchanged": 238'):
        code, said = await in_thread(run, engine, REAL, patient)
        assert (code, counted in said) == (0, True), said
    token = await service.db.write(OPERATOR, people.operator_token, patient, None, 1)
    async with AsyncCompanion(service.url, token=token) as ana:
        entries = [entry async for entry in ana.logs.list(kind="mood", limit=100)]
        trends = await ana.trends.get(from_=date(2012, 8, 13), to=date(2013, 4, 8), series=["anxiety"])
    assert [entry.day.isoformat() for entry in reversed(entries)] == [record["date"] for record in source]
    wanted = [round((float(record["mood_anxious"]) + 3) * 10 / 6) for record in source]
    assert [entry.body.anxiety for entry in reversed(entries) if isinstance(entry.body, wire.Mood)] == wanted
    anxiety = trends.series["anxiety"]
    assert (len(anxiety.points), anxiety.missing.days) == (238, 1)
