"""Holding real answers, and bodies, against the OpenAPI document."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx2
import jsonschema
from jsonschema import Draft202012Validator, FormatChecker

Json = dict[str, Any]

FORMATS = FormatChecker(["uuid", "date"])
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


@FORMATS.checks("date-time", ValueError)
def _instant(value: object) -> bool:
    return not isinstance(value, str) or bool(_INSTANT.fullmatch(value) and datetime.fromisoformat(value))


class Documented:
    """A document that answers and bodies are compared with; ``seen`` collects (operation id, status)."""

    def __init__(self, document: bytes) -> None:
        self.document: Json = json.loads(document)
        self.seen: set[tuple[str, int]] = set()
        fixed_first = sorted(self.document["paths"], key=lambda path: "{" in path)
        self._templates = [(re.compile(re.sub(r"{\w+}", "[^/]+", path)), path) for path in fixed_first]

    def operations(self) -> list[tuple[str, str, Json]]:
        """(method, path, operation) of everything in the document."""
        return [(method, path, one) for path, methods in self.document["paths"].items() for method, one in methods.items()]

    def resolved(self, node: Json) -> Json:
        """What a reference stands for; anything else itself."""
        found: Any = self.document if "$ref" in node else node
        for step in node.get("$ref", "#/").removeprefix("#/").split("/"):
            found = found[step] if step else found
        return found

    def fits(self, schema: Json, value: Any) -> None:
        """Fails with the place in the value that breaks the schema."""
        whole = {**schema, "components": self.document["components"]}
        error = jsonschema.exceptions.best_match(Draft202012Validator(whole, format_checker=FORMATS).iter_errors(value))
        assert error is None, f"{error.json_path}: {error.message}"

    def check(self, answer: httpx2.Response) -> str:
        """Fails unless the answer is one that its operation documents; the operation's id."""
        request = answer.request
        path = next(path for pattern, path in self._templates if pattern.fullmatch(request.url.path))
        operation = self.document["paths"][path][request.method.lower()]
        told = f"{operation['operationId']} answered {answer.status_code}"
        assert str(answer.status_code) in operation["responses"], told
        documented = self.resolved(operation["responses"][str(answer.status_code)])
        self.seen.add((operation["operationId"], answer.status_code))
        for name, header in documented.get("headers", {}).items():
            if header.get("required"):
                assert name in answer.headers, f"{told} without {name}"
        if "content" not in documented:
            assert answer.content == b"", told
            return operation["operationId"]
        media = answer.headers["content-type"].partition(";")[0]
        assert media in documented["content"], f"{told} as {media}"
        for schema, value in _values(documented["content"][media]["schema"], media, answer):
            self.fits(schema, value)
        return operation["operationId"]


def _values(schema: Json, media: str, answer: httpx2.Response) -> Iterator[tuple[Json, Any]]:
    """What is held against a schema: the answer, or what each event of a stream says."""
    if media != "text/event-stream":
        yield schema, answer.json()
        return
    yield schema, answer.text
    events = re.findall(r"^data: (.+)$", answer.text, re.MULTILINE)
    assert events, "a stream without an event"
    for event in events:
        yield schema["contentSchema"], json.loads(event)
