"""Where a file says that it comes from: its Content Credentials (C2PA), and what checking them found."""

from dataclasses import dataclass
from enum import StrEnum

SIGNING_USAGES = (
    "1.3.6.1.5.5.7.3.4",  # e-mail protection
    "1.3.6.1.5.5.7.3.36",  # document signing
    "1.3.6.1.4.1.62558.2.1",  # C2PA's own, of claims
    "1.3.6.1.4.1.311.76.59.1.9",  # Microsoft's, of the same
)
"""What the certificate of a signer may be for: one of these extended key usages."""


class ProvenanceState(StrEnum):
    """What checking a file's Content Credentials found.

    - `none`: the file carries none.
    - `valid`: they are intact, and so is the file since it was signed; anybody may be the signer.
    - `trusted`: besides, an authority that the operator trusts vouches for the signer.
    - `invalid`: the file or they were changed after the signature, or they cannot be read.
    """

    NONE = "none"
    VALID = "valid"
    TRUSTED = "trusted"
    INVALID = "invalid"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    state: ProvenanceState
    issuer: str | None = None
    """To whom the signer's certificate was issued; known where it is valid or trusted, like the next."""
    generator: str | None = None
    """The program that wrote them, by its own account."""


NO_CREDENTIALS = Provenance(state=ProvenanceState.NONE)
