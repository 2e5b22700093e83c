"""The languages in which users are spoken to. Operators' texts and logs are English."""

from enum import StrEnum


class Language(StrEnum):
    ENGLISH = "en"
    FRENCH = "fr"
    PORTUGUESE = "pt"


LANGUAGES = frozenset(str(language) for language in Language)


def preferred_language(accept_language: str | None, default: Language) -> Language:
    """The supported language that an `Accept-Language` header (RFC 9110 section 12.5.4) likes best, else the default.

    A regional tag counts for its language: `pt-BR` is Portuguese.
    """
    best, best_quality = default, 0.0
    for entry in (accept_language or "").split(","):
        tag, _, parameter = entry.partition(";")
        language, quality = tag.strip().partition("-")[0].lower(), _quality(parameter)
        if language in LANGUAGES and quality > best_quality:
            best, best_quality = Language(language), quality
    return best


def _quality(parameter: str) -> float:
    """A malformed one is as good as none."""
    name, _, value = parameter.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name == "q" else 0.0
    except ValueError:
        return 0.0
