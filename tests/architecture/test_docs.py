"""Our Markdown: links lead somewhere, and the helpers that read it read it right."""

from pathlib import Path

import pytest
from support.docs import ROOT, Block, anchor, blocks, broken_links, commands, repository_paths, sections

PAGES = [
    path
    for pattern in ("*.md", "companion/**/*.md", "sdk/*.md", "examples/*.md", "tests/**/*.md")
    for path in sorted(ROOT.glob(pattern))
]

PAGE = """\
# Top

See [the other](other.md), [below](#two-words), [gone](gone.md), [nowhere](#nowhere) and [far](https://example.org/x).

```python
print("hi")
```

## Two words

- an item

  ```console
  $ companion demo
  ready
  $ companion verify
  ```

`companion/app.py`, `pip install x`, `tests/**/test_*.py`, `GET /v1/me`
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "other.md").touch()
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_link_of_ours_is_broken(path: Path) -> None:
    assert broken_links(path) == []


def test_broken_links_are_seen(page: Path) -> None:
    assert broken_links(page) == ["gone.md", "#nowhere"]


def test_blocks_are_found_with_their_lines(page: Path) -> None:
    assert blocks(page, "python") == [Block("python", 'print("hi")\n', 6)]
    assert [block.language for block in blocks(page)] == ["python", "console"]
    assert blocks(page, "console")[0].text.startswith("$ companion demo\nready\n")


def test_commands_are_what_stands_after_a_prompt(page: Path) -> None:
    assert commands(page) == ["companion demo", "companion verify"]


def test_sections_and_anchors(page: Path) -> None:
    assert list(sections(page)) == ["Top", "Two words"]
    assert anchor("To add a kind, channel") == "to-add-a-kind-channel"


def test_paths_are_told_from_other_code() -> None:
    assert repository_paths(PAGE) == ["companion/app.py", "tests/**/test_*.py"]
