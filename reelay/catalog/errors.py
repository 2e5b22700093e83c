"""What can be wrong with a caller's request for a model.

CatalogError
├── UnknownModel    no model has this name
└── InvalidInput    the model does not take this input
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from reelay.domain.messages import Sentence

LONGEST_SHOWN = 100
"""Characters of a wrong value that an error repeats."""
LARGEST_EXACT_INTEGER = 2**53
"""Past it, clients that read JSON numbers as doubles lose digits."""

Limit = list[Any] | dict[str, Any] | None
"""The allowed values, or the bounds by name; None when no value would do."""


@dataclass(frozen=True, kw_only=True)
class FieldError:
    """One wrong field: `message` tells a person how to correct it, `limit` a program."""

    field: str
    """As the caller spelled it."""
    message: str
    limit: Limit = None
    value: Any = None
    """As given where that is short and fits JSON, else cut or described."""


class CatalogError(Exception):
    """A request that cannot be taken. `errors` names everything that is wrong with it."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field} {error.message}" for error in errors))
        self.errors = tuple(errors)


class UnknownModel(CatalogError):
    """No model has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        message = Sentence("field_unknown_model", known=", ".join(known), hint=did_you_mean(name, known))
        super().__init__([FieldError(field="model", message=message, limit=list(known), value=shown(name))])
        self.name = name
        self.known = tuple(known)


class InvalidInput(CatalogError):
    """The model does not take these fields."""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`; did you mean "duration"?`, or nothing when no known word is close."""
    close = get_close_matches(word[:LONGEST_SHOWN], known, n=1)
    return Sentence("field_did_you_mean", word=close[0]) if close else ""


def shown(value: Any) -> Any:
    """The value, made short and safe for a JSON answer."""
    match value:
        case str():
            text = value.encode(errors="replace").decode()
            return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
        case None | bool():
            return value
        case int():
            return value if abs(value) < LARGEST_EXACT_INTEGER else "a huge integer"
        case float():
            return value if math.isfinite(value) else str(value)
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"
