"""Pages of a list, newest first: how many rows, and the cursor to go on with."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Query

from api.http.problems import InvalidParams
from api.http.wire import Wire
from reelay.domain.messages import Sentence

Row = TypeVar("Row")
Position = tuple[datetime, UUID]
"""The time and the id of a row, which order the list."""

PageSize = Annotated[int, Query(alias="limit", ge=1, le=100, description="How many to return at most. Default: 20.")]
Cursor = Annotated[
    str | None, Query(alias="after", description="The `nextCursor` of the page before; omitted, the first page.")
]


class Page(Wire):
    """One page of a list."""

    has_more: bool
    """Whether another page follows."""
    next_cursor: str | None
    """What `after` takes for the next page; null on the last one."""


def split_page(
    found: Sequence[Row], size: int, position: Callable[[Row], Position]
) -> tuple[Sequence[Row], str | None]:
    """The page, and the cursor of the next one, of what was read with a limit of one more than the page has."""
    page = found[:size]
    return page, make_cursor(*position(page[-1])) if len(found) > size else None


def make_cursor(moment: datetime, row_id: UUID) -> str:
    return urlsafe_b64encode(f"{moment.isoformat()} {row_id}".encode()).decode()


def read_cursor(cursor: str | None) -> Position | None:
    """Raises: InvalidParams."""
    if not cursor:
        return None
    try:
        moment, row_id = urlsafe_b64decode(cursor.encode()).decode().split(" ")
        return datetime.fromisoformat(moment).astimezone(UTC), UUID(row_id)
    except (ValueError, OverflowError) as error:
        invalid = {"field": "after", "message": Sentence("field_cursor"), "limit": None, "value": cursor[:100]}
        raise InvalidParams(Sentence("cursor_invalid"), errors=[invalid]) from error
