"""What Postgres can keep of a JSON value that somebody else made."""

from typing import Any


def storable(value: Any) -> Any:
    """The value without NUL characters, which jsonb and text refuse."""
    match value:
        case str():
            return value.replace("\x00", "")
        case dict():
            return {storable(key): storable(entry) for key, entry in value.items()}
        case list() | tuple():
            return [storable(entry) for entry in value]
        case _:
            return value
