"""One SQL text for two databases: what they would understand differently is not written, and both accept all that is."""

import re
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psycopg
import pytest
from support import engines
from support.statements import statements

from companion.core import migrations
from companion.core.sql import SQLITE, Statement, expand


def breaking(rule: Callable[[str], bool]) -> list[str]:
    return [statement.text for statement in statements() if rule(statement.text)]


# what is not written


def holds(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.search(text) is not None


def several_arguments(text: str) -> bool:
    """``max(a, b)``: SQLite's scalar function, no function at all on PostgreSQL."""
    for call in re.finditer(r"\b(?:max|min|MAX|MIN)\(", text):
        depth = 1
        for letter in text[call.end() :]:
            depth += {"(": 1, ")": -1}.get(letter, 0)
            if depth == 0:
                break
            if depth == 1 and letter == ",":
                return True
    return False


def unqualified(text: str) -> bool:
    """A bare column right of an upsert's SET or in its WHERE: PostgreSQL cannot tell which row is meant."""
    _, _, after = text.partition("DO UPDATE SET ")
    after = re.sub(r"'[^']*'|\{\w+\}|:\w+|\b\w+\.\w+|\b\w+(?=\()| RETURNING .*", " ", after)
    after = re.sub(r"(?:^|,)\s*\w+ =", " ", after)
    words = set(re.findall(r"\b[a-zA-Z_]\w*\b", after))
    return bool(
        words - {"CASE", "WHEN", "THEN", "ELSE", "END", "AND", "OR", "NOT", "NULL", "IS", "AS", "WHERE", "text", "bigint"}
    )


RULES: dict[str, tuple[Callable[[str], bool], list[str]]] = {
    "INSERT OR, REPLACE": (
        holds(r"\bINSERT OR\b|\bUPDATE OR\b|\bREPLACE INTO\b"),
        ["INSERT OR IGNORE INTO beats (name, at) VALUES (:name, :at)", "REPLACE INTO beats (name, at) VALUES (:name, :at)"],
    ),
    "LIMIT -1": (holds(r"\bLIMIT -"), ["SELECT name FROM beats ORDER BY name LIMIT -1"]),
    "UPDATE or DELETE with ORDER or LIMIT": (
        lambda text: (
            text.startswith(("UPDATE", "DELETE")) and re.search(r"\b(LIMIT|ORDER BY)\b(?![^(]*\))", text) is not None
        ),
        ["UPDATE beats SET at = 0 LIMIT 1", "DELETE FROM beats WHERE at < :at ORDER BY at LIMIT 1"],
    ),
    "scalar max and min": (
        several_arguments,
        ["UPDATE beats SET at = max(at, :now)", "SELECT min(count(*), (1 + 2)) FROM beats"],
    ),
    "IN with a list": (holds(r"\bIN\s+:"), ["SELECT name FROM beats WHERE name IN :names ORDER BY name"]),
    "JSON operators and functions": (
        holds(r"->|#>|@>|\bjsonb?_|\bjson\("),
        ["SELECT name ->> 'a' FROM beats", "SELECT json_extract(name, '$.a') FROM beats"],
    ),
    "pattern matching": (
        holds(r"\b(I?LIKE|GLOB|REGEXP|MATCH|SIMILAR TO)\b|~"),
        ["SELECT name FROM beats WHERE name LIKE :name", "SELECT name FROM beats WHERE name GLOB 'a*'"],
    ),
    "unqualified columns in an upsert": (
        unqualified,
        [
            "INSERT INTO beats (name, at) VALUES (:name, :at) ON CONFLICT (name) DO UPDATE SET at = at + 1",
            "INSERT INTO beats (name, at) VALUES (:n, :at) ON CONFLICT (name) DO UPDATE SET at = excluded.at WHERE at < :at",
        ],
    ),
    "booleans": (
        holds(r"\b(TRUE|FALSE|true|false|boolean|BOOLEAN)\b"),
        ["UPDATE logs SET current = FALSE WHERE patient_id = :patient"],
    ),
    "a parameter whose type nobody can tell": (
        holds(r":\w+ IS\b|^SELECT :\w+|, :\w+ FROM"),
        ["SELECT name FROM beats WHERE :at IS NULL OR at = :at", "SELECT :name", "SELECT name, :x FROM beats"],
    ),
    "a per cent sign": (holds("%"), ["SELECT name FROM beats WHERE at % 2 = 0"]),
    "every column": (holds(r"\*(?!\))|\b\w+\.\*"), ["SELECT * FROM beats", "SELECT beats.* FROM beats"]),
    "an insert without columns": (holds(r"INTO \w+ (?!\()"), ["INSERT INTO beats VALUES (:name, :at)"]),
    "sums, which PostgreSQL answers as decimals": (
        holds(r"(?i)(?<!CAST\()\b(sum|avg)\("),
        ["SELECT sum(at) FROM beats", "SELECT avg(at) FROM beats"],
    ),
    "one database's own words": (
        holds(
            r"(?i)\b(last_insert_rowid|changes|ifnull|iif|strftime|julianday|datetime|unixepoch|now|random|gen_random_uuid|"
            r"nextval|string_agg|group_concat)\(|\browid\b|\bINDEXED BY\b|::|\bCURRENT_(DATE|TIME|TIMESTAMP)\b|=="
        ),
        [
            "SELECT rowid FROM beats",
            "SELECT ifnull(at, 0) FROM beats",
            "SELECT name FROM beats INDEXED BY beats_by_at",
            "SELECT at::text FROM beats",
            "DELETE FROM beats WHERE at < now()",
            "DELETE FROM beats WHERE at < CURRENT_TIMESTAMP",
            "SELECT name FROM beats WHERE at == 1",
        ],
    ),
    "a name in double quotes, which SQLite may read as text": (holds('"'), ['SELECT "name" FROM beats']),
    "commit, savepoint or settings": (
        holds(r"(?i)\b(COMMIT|ROLLBACK|SAVEPOINT|BEGIN|ATTACH|DEFERRED|DEFERRABLE|VACUUM)\b"),
        ["DELETE FROM beats; COMMIT"],
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_catches_what_it_forbids(rule: str) -> None:
    catches, examples = RULES[rule]
    assert examples
    for example in examples:
        assert catches(example), example


@pytest.mark.parametrize("rule", RULES)
def test_no_statement_breaks_a_rule(rule: str) -> None:
    assert breaking(RULES[rule][0]) == []


FINE = [
    "INSERT INTO beats (name, at) VALUES (:name, :now) ON CONFLICT (name) DO UPDATE SET at = excluded.at + beats.at",
    "INSERT INTO beats (name, at) VALUES (:n, :at) ON CONFLICT (name) DO UPDATE SET at = excluded.at WHERE beats.at < :at",
    "SELECT count(*), max(at), CAST(sum(at) AS {int64}) FROM beats",
    "SELECT name FROM beats WHERE CAST(:at AS {int64}) IS NULL OR at = :at ORDER BY name {collate}",
    "DELETE FROM beats WHERE name IN (SELECT name FROM beats ORDER BY at, name LIMIT 10)",
    "UPDATE codes SET used_at = :now WHERE code_hash = :code RETURNING clinician_id",
]


@pytest.mark.parametrize("statement", FINE)
def test_no_rule_forbids_what_both_understand(statement: str) -> None:
    assert [rule for rule, (catches, _) in RULES.items() if catches(statement)] == []


# an order that is the same everywhere


@cache
def migrated() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for step in migrations.read():
        for statement in step.statements:
            connection.execute(expand(statement, SQLITE))
    return connection


@cache
def columns(table: str) -> dict[str, tuple[str, bool]]:
    """Type and whether it may be NULL, by name."""
    return {row[1]: (row[2], not row[3]) for row in migrated().execute(f"PRAGMA table_info({table})")}


@cache
def unique(table: str) -> list[frozenset[str]]:
    """What never repeats: declared keys; ``seq`` where there is a ``link`` (the feed's lock gives it out); ``current``."""
    found: list[frozenset[str]] = []
    for _, index, is_unique, _, partial in migrated().execute(f"PRAGMA index_list({table})").fetchall():
        if is_unique and not partial:
            found.append(frozenset(row[2] for row in migrated().execute(f"PRAGMA index_info({index})")))
    if {"patient_id", "seq", "link"} <= columns(table).keys():
        found.append(frozenset(("patient_id", "seq")))
    if {"patient_id", "id", "current"} <= columns(table).keys():
        found.append(frozenset(("patient_id", "id", "current")))
    return found


def disorder(text: str) -> str | None:
    """What is left open in the order of a query's rows, or None."""
    if (
        not text.startswith("SELECT")
        or text.startswith(("SELECT 1 ", "SELECT ("))
        or re.match(r"SELECT (count|max|min)\(", text)
    ):
        return None
    shape = re.match(r"SELECT (?:DISTINCT )?([\w, ]+?) FROM (\w+)(?: (?:WHERE|ORDER|\{)|$)", text)
    if shape is None:
        return "more than one table: say in JUDGED why its order is whole"
    chosen, table = {part.strip() for part in shape[1].split(",")}, shape[2]
    where, _, ordered = text.partition(" ORDER BY ")
    terms = [term.split() for term in re.split(r" LIMIT | \{lock\}| \{skip_locked\}", ordered)[0].split(",") if term.strip()]
    fixed = set(re.findall(r"\b(\w+) = (?::\w+|\d+)", where))
    by = {term[0] for term in terms}
    if not any(key <= fixed | by for key in unique(table)) and not (terms and chosen <= fixed | by):
        return "no tie-breaker"
    for column, *how in terms:
        kind, may_be_null = columns(table)[column]
        if kind.upper() == "TEXT" and column != "day" and "{collate}" not in how and len(terms) > 0:
            return f"{column} is text and has no {{collate}}"
        excluded = re.search(rf"\b{column} (?:IS NOT NULL|[<>]=? )", where)
        if may_be_null and "NULLS" not in how and excluded is None:
            return f"{column} may be NULL and has no NULLS FIRST or LAST"
    return None


JUDGED: dict[str, str] = {}
"""Queries over several tables, with why their order is whole."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT name, at FROM beats ORDER BY at", "no tie-breaker"),
        ("SELECT name, at FROM beats", "no tie-breaker"),
        (
            "SELECT id, sealed FROM tokens WHERE patient_id = :patient ORDER BY created_at DESC LIMIT :limit",
            "no tie-breaker",
        ),
        ("SELECT name, at FROM beats ORDER BY name", "name is text and has no {collate}"),
        ("SELECT id, used_at FROM invites ORDER BY used_at, id", "used_at may be NULL and has no NULLS FIRST or LAST"),
        (
            "SELECT beats.at FROM beats JOIN logs ON logs.at = beats.at",
            "more than one table: say in JUDGED why its order is whole",
        ),
        ("SELECT name, at FROM beats ORDER BY name {collate}", None),
        ("SELECT name, at FROM beats WHERE name = :name", None),
        ("SELECT id, used_at FROM invites ORDER BY used_at DESC NULLS LAST, id", None),
        ("SELECT at FROM logs WHERE patient_id = :patient ORDER BY at LIMIT 1", None),
        ("SELECT DISTINCT patient_id FROM logs ORDER BY patient_id", None),
    ],
)
def test_the_rule_of_order_sees_what_is_left_open(text: str, expected: str | None) -> None:
    assert disorder(text) == expected


def test_every_order_is_whole() -> None:
    left_open = {statement.text: open_end for statement in statements() if (open_end := disorder(statement.text))}
    assert {text: open_end for text, open_end in left_open.items() if text not in JUDGED} == {}
    assert JUDGED.keys() <= left_open.keys(), "what stands there although nothing is open"


# a patient's data is reached through the patient


BESIDE_THE_PATIENT = {
    r"(SELECT|UPDATE|DELETE)\b.* tokens .*WHERE (hash|id) = :.*": "by its secret or own id, before anyone is known",
    r"(SELECT|UPDATE|DELETE)\b.* invites .*WHERE (code_hash|id) = :.*": "by its code, before anyone is known",
    r"SELECT [\w, ]+ FROM (tokens|invites|patients|feeds) ORDER BY [\w, ]+": "the operator's lists; verify",
    r"SELECT DISTINCT patient_id FROM \w+ ORDER BY patient_id": "verify looks for rows of patients that do not exist",
    r"SELECT [\w, ]+ FROM nudges WHERE next_try_at .*": "what is due is due over all patients; the index is nudges_to_do",
    r"SELECT [\w, ]+ FROM plans WHERE extend_at .*": "plans to extend, over all patients; the index is plans_to_extend",
    r"SELECT patient_id FROM logs WHERE recorded_at < :before .*": "old tombstones of anybody; the index is logs_tombstones",
    r"SELECT \(SELECT max\(recorded_at\) FROM logs\), .*": "backup says how old its newest row is",
}
"""Statements on tables with ``patient_id`` that do not name it, each with the reason."""


def tables(text: str) -> set[str]:
    return set(re.findall(r"\b(?:FROM|INTO|UPDATE|JOIN) (?!SET\b)(\w+)", text))


def names_the_patient(text: str) -> bool:
    """By ``patient_id = …`` in its condition, or among the columns it inserts."""
    if text.startswith("INSERT"):
        return "patient_id" in text.partition(" VALUES ")[0]
    return re.search(r"\bWHERE\b.*\bpatient_id = ", text) is not None


def test_what_reaches_a_patient_names_the_patient() -> None:
    of_patients = {
        table
        for (table,) in migrated().execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if "patient_id" in columns(table)
    }
    assert {"logs", "consents", "tokens"} <= of_patients
    beside = [
        statement.text
        for statement in statements()
        if tables(statement.text) & of_patients and not names_the_patient(statement.text)
    ]
    unexplained = [text for text in beside if not any(re.fullmatch(pattern, text) for pattern in BESIDE_THE_PATIENT)]
    assert unexplained == []
    unused = [pattern for pattern in BESIDE_THE_PATIENT if not any(re.fullmatch(pattern, text) for text in beside)]
    assert unused == []


def test_a_statement_without_its_patient_is_seen() -> None:
    assert not names_the_patient("SELECT id, sealed FROM logs WHERE id = :id")
    assert not names_the_patient("UPDATE logs SET patient_id = :patient WHERE id = :id")
    assert not names_the_patient("INSERT INTO logs (id, sealed) VALUES (:id, :patient_id)")
    assert names_the_patient("SELECT id, sealed FROM logs WHERE patient_id = :patient AND id = :id")


# both databases accept every statement


def test_sqlite_accepts_every_statement() -> None:
    """Tables, columns and indexes exist too, or it could not be explained."""
    for statement in statements():
        names = re.findall(r":(\w+)", statement.sqlite)
        migrated().execute(f"EXPLAIN {statement.sqlite}", dict.fromkeys(names)).fetchall()


KINDS = {17: "bytea", 20: "bigint", 23: "integer", 25: "text"}


def test_postgresql_accepts_every_statement(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Prepared without hints: every parameter's type follows from its place, every answer is a number, bytes or text."""
    pg = engines.postgres(tmp_path, request)
    with psycopg.connect(pg.options["database"], autocommit=True) as connection:
        for number, statement in enumerate(statements()):
            kinds, answers = described(connection, f"s{number}", statement)
            assert kinds | answers <= KINDS.keys(), (statement.text, kinds, answers)
        for doubtful in ("SELECT at = 1 FROM beats", "SELECT sum(at) FROM beats"):
            assert not described(connection, doubtful[:12], Statement(doubtful))[1] <= KINDS.keys()
        with pytest.raises(psycopg.errors.UndefinedColumn):
            described(connection, "bad", Statement("SELECT nothing FROM beats"))


def described(connection: psycopg.Connection, label: str, statement: Statement) -> tuple[set[int], set[int]]:
    """The types of a statement's parameters and of its answer's columns."""
    places: dict[str, int] = {}

    def place(match: re.Match[str]) -> str:
        return f"${places.setdefault(match[1], len(places) + 1)}"

    text = re.sub(r"%\((\w+)\)s", place, statement.postgres)
    prepared = connection.pgconn.prepare(label.encode(), text.encode())
    if prepared.status != psycopg.pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(prepared)
    told = connection.pgconn.describe_prepared(label.encode())
    return {told.param_type(at) for at in range(told.nparams)}, {told.ftype(at) for at in range(told.nfields)}


# the schema


def test_the_schema_knows_three_types() -> None:
    made = [statement for step in migrations.read() for statement in step.statements]
    for statement in made:
        text = " ".join(statement.split())
        assert not re.search(r"(?i)\b(boolean|serial|timestamp|jsonb?|uuid|DEFERR\w+)\b", text), text
        if text.startswith("CREATE TABLE"):
            assert text.endswith("{strict}"), text
            lines = [line.strip() for line in statement.splitlines()[1:-1]]
            kinds = {line.split()[1].rstrip(",") for line in lines if not line.startswith(("PRIMARY KEY", "UNIQUE"))}
            assert kinds <= {"{int64}", "{bytes}", "text"}, text
    indexes = re.findall(r"CREATE (?:UNIQUE )?INDEX (\w+)", "\n".join(made))
    assert len(indexes) == len(set(indexes))
