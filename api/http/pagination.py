"""Pages of a list: cursors."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from uuid import UUID

from api.http.problems import InvalidParams
from reelay.domain.messages import Sentence


def make_cursor(moment: datetime, row_id: UUID) -> str:
    return urlsafe_b64encode(f"{moment.isoformat()} {row_id}".encode()).decode()


def read_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        created_at, generation_id = urlsafe_b64decode(cursor.encode()).decode().split(" ")
        return datetime.fromisoformat(created_at).astimezone(UTC), UUID(generation_id)
    except (ValueError, OverflowError) as error:
        bad = {"field": "after", "message": Sentence("field_cursor"), "limit": None, "value": cursor[:100]}
        raise InvalidParams(Sentence("cursor_invalid"), errors=[bad]) from error
