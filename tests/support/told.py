"""What a run tells at its end, whichever process each test ran in: counts and times that tests told, and how often the tests
of conformance passed on each backend.
"""

from collections import Counter

import pytest

TOLD = "told"
"""The property under which a line travels with its test's report."""

CONFORMANCE = "tests/conformance/"
BACKENDS = ("fake", "sqlite", "postgres")


class Summary:
    """Gathers from the reports of tests."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.passed: Counter[str] = Counter()

    def see(self, report: pytest.TestReport) -> None:
        """One report."""
        if report.when != "call" or not report.passed:
            return
        self.lines += [str(line) for name, line in report.user_properties if name == TOLD]
        if report.nodeid.startswith(CONFORMANCE):
            self.passed.update(name for name in BACKENDS if f"[{name}" in report.nodeid or f"-{name}" in report.nodeid)

    @property
    def uneven(self) -> bool:
        """Whether a backend passed another number of the same tests."""
        return len(set(self.passed.values())) > 1

    def told(self) -> list[str]:
        """The lines of the end."""
        counts = ", ".join(f"{name} {self.passed[name]}" for name in BACKENDS if name in self.passed)
        same = [f"conformance: {counts}{': NOT THE SAME' if self.uneven else ''}"] if counts else []
        return [*self.lines, *same]
