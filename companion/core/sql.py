"""One SQL text for two databases: statements with six macros and ``:name`` parameters.

| macro           | SQLite                  | PostgreSQL               |
|-----------------|-------------------------|--------------------------|
| ``{int64}``     | INTEGER                 | bigint                   |
| ``{bytes}``     | BLOB                    | bytea                    |
| ``{strict}``    | STRICT, WITHOUT ROWID   |                          |
| ``{skip_locked}`` |                       | FOR UPDATE SKIP LOCKED   |
| ``{lock}``      |                         | FOR UPDATE               |
| ``{collate}``   | COLLATE BINARY          | COLLATE "C"              |

Every statement of the service is made by ``sql(...)`` at import and so stands in ``STATEMENTS``, where a lint reads it.
"""

import re

SQLITE = {
    "int64": "INTEGER",
    "bytes": "BLOB",
    "strict": "STRICT, WITHOUT ROWID",
    "skip_locked": "",
    "lock": "",
    "collate": "COLLATE BINARY",
}
POSTGRES = {
    "int64": "bigint",
    "bytes": "bytea",
    "strict": "",
    "skip_locked": "FOR UPDATE SKIP LOCKED",
    "lock": "FOR UPDATE",
    "collate": 'COLLATE "C"',
}

_MACRO = re.compile(r"\{(\w+)\}")
_PARAMETER = re.compile(r"(?<!:):([a-z_][a-z_0-9]*)")
_VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


class Statement:
    """One SQL statement, translated once for each database."""

    __slots__ = ("postgres", "sqlite", "text")

    def __init__(self, text: str) -> None:
        self.text = " ".join(text.split())
        if not self.text.startswith(_VERBS):
            raise ValueError(f"a unit of work may only {', '.join(_VERBS)}: {self.text[:60]}")
        self.sqlite = expand(self.text, SQLITE)
        self.postgres = _PARAMETER.sub(r"%(\1)s", expand(self.text, POSTGRES).replace("%", "%%"))

    def __repr__(self) -> str:
        return f"<{self.text[:60]}>"


STATEMENTS: list[Statement] = []
"""Every statement of the service, in the order of import."""


def expand(text: str, macros: dict[str, str]) -> str:
    """The text with its macros replaced; an unknown macro is an error."""
    return _MACRO.sub(lambda match: macros[match[1]], text)


def sql(text: str) -> Statement:
    """Declare a statement."""
    statement = Statement(text)
    STATEMENTS.append(statement)
    return statement
