"""Who calls (as the shell knows them) and who that is (as a unit of work resolves them).

Core knows no tokens: ``app.py`` gives the database a function that turns a ``Caller`` into an ``Actor`` inside each unit,
so that a revocation counts from its commit on, in every process.
"""

from typing import Literal
from uuid import UUID

import msgspec

from .errors import NotFound, Problem, Unauthenticated


class Bearer(msgspec.Struct, frozen=True):
    """A request with a token."""

    token: str


class Anonymous(msgspec.Struct, frozen=True):
    """A request without one."""


class System(msgspec.Struct, frozen=True):
    """A recurring job of the service itself."""

    job: str


class Operator(msgspec.Struct, frozen=True):
    """A person at the command line of the machine."""

    command: str


Caller = Bearer | Anonymous | System | Operator
Role = Literal["patient", "clinician", "app", "system", "operator", "anonymous"]
ANONYMOUS = Anonymous()


class Actor(msgspec.Struct, frozen=True):
    """Who acts in this unit. ``scopes`` is None where the person's own rights decide, a set for a third-party token."""

    role: Role
    id: UUID
    clinic_id: UUID | None = None
    patient_id: UUID | None = None
    token_id: UUID | None = None
    scopes: frozenset[str] | None = None

    def known(self) -> "Actor":
        """Itself, or 401 for nobody."""
        if self.role == "anonymous":
            raise Unauthenticated
        return self

    def may(self, scope: str) -> "Actor":
        """Itself; 401 for nobody, 403 for a token without the scope."""
        self.known()
        if self.scopes is not None and scope not in self.scopes:
            raise Problem("insufficient-scope")
        return self

    def person(self) -> "Actor":
        """Itself if a signed-in person; a third-party token gets 403: some things are only for people."""
        self.known()
        if self.scopes is not None:
            raise Problem("insufficient-scope")
        return self

    def patient(self) -> "UUID":
        """The id of the signed-in patient; the hidden 404 for anyone else."""
        self.person()
        if self.role != "patient" or self.patient_id is None:
            raise NotFound
        return self.patient_id

    def clinician(self) -> "Actor":
        """Itself if a clinician; the hidden 404 for anyone else."""
        self.person()
        if self.role != "clinician":
            raise NotFound
        return self


NOBODY = Actor(role="anonymous", id=UUID(int=0))
