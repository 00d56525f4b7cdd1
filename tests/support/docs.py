"""Reading our Markdown the way its reader does: the blocks to run, the links to follow, the files it names."""

import re
from dataclasses import dataclass
from pathlib import Path

from .sources import ROOT

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#{1,6}) +(.*?) *#*$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"\.?[\w*.-]+(?:/[\w*.{}-]+)+/?|[\w-]+\.(?:py|md|toml|json|sql)")

ENTRY = re.compile(r"^- \*\*(?P<what>[^*]+)\*\*:(?P<text>.*?)(?=^- |\Z)", re.MULTILINE | re.DOTALL)
"""An entry of a list that begins with what it is about, in bold."""


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its text, the line its text begins on."""

    language: str
    text: str
    line: int


def blocks(path: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a Markdown file, of one language or all."""
    text = path.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in _FENCE.finditer(text):
        words = match["info"].split()
        body = "".join(line.removeprefix(match["indent"]) for line in match["text"].splitlines(keepends=True))
        found.append(Block(words[0] if words else "", body, text.count("\n", 0, match.start("text")) + 1))
    return [block for block in found if language is None or block.language == language]


def commands(path: Path) -> list[str]:
    """What a reader is told to type: the lines after a ``$`` prompt in the blocks of a shell."""
    lines = [
        line for block in blocks(path) if block.language in ("console", "sh", "bash") for line in block.text.splitlines()
    ]
    return [line.strip()[2:] for line in lines if line.strip().startswith("$ ")]


def prose(path: Path) -> str:
    """The text outside fenced blocks."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def sections(path: Path) -> dict[str, str]:
    """Each heading's own text, up to the next heading of any depth."""
    text = prose(path)
    found = list(_HEADING.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)]
    return {match[2]: text[match.end() : end] for match, end in zip(found, ends, strict=True)}


def anchor(heading: str) -> str:
    """A heading's anchor, as forges make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def broken_links(path: Path) -> list[str]:
    """Links to files or headings of the repository that are not there; links to other hosts are not followed."""
    broken: list[str] = []
    for target in _LINK.findall(prose(path)):
        if "://" in target or target.startswith("mailto:"):
            continue
        place, _, fragment = target.partition("#")
        file = (path.parent / place).resolve() if place else path
        if not file.exists() or (fragment and file.suffix == ".md" and fragment not in map(anchor, sections(file))):
            broken.append(target)
    return broken


def repository_paths(text: str) -> list[str]:
    """Files and folders that code spans name from the root of the repository; ``*`` and ``**`` as in a shell."""
    first = {entry.name for entry in ROOT.iterdir()}
    spans = [span for span in _CODE.findall(text) if _PATH.fullmatch(span)]
    return [span.rstrip("/") for span in spans if span.split("/")[0] in first]
