"""An endpoint of a provider that the catalogue does not know: what was found of it."""

from dataclasses import dataclass
from enum import StrEnum


class EndpointState(StrEnum):
    KEPT = "kept"
    """Its description is in Postgres, as the provider publishes it now."""
    UNKNOWN = "unknown"
    """The provider has no such endpoint."""
    UNAVAILABLE = "unavailable"
    """The provider could not be asked. What is kept of it may be old."""


@dataclass(frozen=True, kw_only=True)
class EndpointAnswer:
    state: EndpointState
    near: tuple[str, ...] = ()
    """Ids of endpoints that may have been meant; of one that is unknown, or no longer offered."""
