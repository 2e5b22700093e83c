"""What jobs' files and callers' own have in common."""

from typing import Any, Self

from api.http.wire import Wire
from reelay.domain.provenance import ProvenanceState


class ProvenanceView(Wire):
    """What checking a file's Content Credentials (C2PA) found when the file was archived."""

    state: ProvenanceState
    """`none`: it carries none. `valid`: intact, by a signer whom nobody vouches for. `trusted`: intact, and an
    authority that this service trusts vouches for the signer. `invalid`: changed after it was signed, or unreadable."""
    issuer: str | None
    """To whom the signer's certificate was issued, where the state is `valid` or `trusted`."""
    generator: str | None
    """The program that wrote them, by its own account, where the state is `valid` or `trusted`."""

    @classmethod
    def from_column(cls, provenance: dict[str, Any] | None) -> Self | None:
        return None if provenance is None else cls.model_validate(provenance)
