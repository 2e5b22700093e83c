"""Ids as others write them."""

from uuid import UUID


def parse_uuid(text: str) -> UUID | None:
    """The UUID that the text is; None for any other text."""
    try:
        return UUID(text)
    except ValueError:
        return None
