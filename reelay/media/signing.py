"""What is to be signed, and how the process that writes Content Credentials is asked and answers."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import TypeAdapter

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


class SourceType(StrEnum):
    """How the file came to be, in IPTC's words."""

    COMPOSITE = f"{SOURCE_TYPES}composite"
    """Put together of files that people brought."""
    COMPOSITE_WITH_GENERATED = f"{SOURCE_TYPES}compositeSynthetic"
    """Put together of files, at least one of which a model has made."""


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """A file that went into it. Its own Content Credentials, if it has any, are kept within."""

    path: str
    title: str
    content_type: str


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What is said of a file."""

    path: str
    title: str
    content_type: str
    source_type: SourceType
    ingredients: tuple[Ingredient, ...] = ()
    to: str
    """Where to write the signed file."""


@dataclass(frozen=True, kw_only=True)
class SignerRequest:
    """One line of JSON, the first."""

    statement: Statement
    program_version: str
    """Ours."""
    chain: str
    algorithm: str
    has_time_stamp: bool
    reads_ingredients: bool = True
    """False: they are named, and not opened."""


@dataclass(frozen=True, kw_only=True)
class SignerLine:
    """One line of JSON, with one of these."""

    to_sign: str | None = None
    """Base64. The answer is a line with the signature, in base64 as well: the key stays with who asks."""
    to_stamp: str | None = None
    """Base64: a query for a time-stamping authority (RFC 3161). The answer is a line with its answer, likewise."""
    is_signed: bool = False
    refusal: str | None = None
    """Why the library did not sign."""


REQUEST = TypeAdapter(SignerRequest)
LINE = TypeAdapter(SignerLine)
