"""Ids as others write them."""

from uuid import UUID


def uuid_in(text: str) -> UUID | None:
    """The UUID that the text is; None for any other text."""
    try:
        return UUID(text)
    except ValueError:
        return None
