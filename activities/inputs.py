"""The inputs of the activities: one dataclass in, one out."""

from dataclasses import dataclass
from datetime import timedelta

from reelay.domain.failure import Failure
from reelay.domain.generation import Archived, Generation, Report, Submission
from reelay.domain.pipeline import Step


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One paid POST of a generation, to be sent, or with an unknown outcome."""

    generation: Generation
    number: int


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """An uncertain attempt, and the webhook that says which request it became."""

    generation: Generation
    report: Report
    instead_of: Submission | None = None
    """The later attempt that it overtook."""


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A generation that a provider works on."""

    generation: Generation
    submission: Submission


@dataclass(frozen=True, kw_only=True)
class Ended(Accepted):
    """A generation of which a provider says that it has ended its work."""

    ask_again_in: timedelta
    """When the provider is asked next, should there be no media yet."""


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """A film of a pipeline that is to be mixed."""

    generation: Generation


@dataclass(frozen=True, kw_only=True)
class Fallback:
    """A generation that goes on with its next fallback."""

    generation: Generation
    """As it was until now."""
    failure: Failure
    attempts: int
    """So far, at all models."""


@dataclass(frozen=True, kw_only=True)
class Lead:
    """Of two models that work on a generation at once, the one that its row follows from now on."""

    generation: Generation
    submission: Submission | None
    """Its own, as far as it is known."""
    other: Generation
    failure: Failure | None
    """Of the other one, which is over; None: it works on."""
    refused: Archived | None = None
    """Of the other one, its result that is not kept: it costs what it would have cost."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    generation: Generation
    archived: Archived
    overtaken_cents: int = 0
    """What its user pays for a model that was beside it: it ended after it, or its result was not kept."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """A generation that ends without its media."""

    generation: Generation
    failure: Failure | None
    """None when the caller canceled it."""
    refused: Archived | None = None
    """The result that was not kept: it costs what it would have cost."""
    beside_cents: int = 0
    """What its user pays for the result of a model beside it that was not kept either."""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What was said of a step that waited for its approval."""

    step: Step
    is_approved: bool
    note: str = ""
