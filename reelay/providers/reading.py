"""What every provider's answers are read with. Nothing here raises."""

import re
from datetime import UTC, datetime
from typing import Any, TypeGuard

from reelay.providers.exchange import Answer
from reelay.providers.strict_json import parse_json

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
# 408 and 499 are a gateway's words about timing: they do not say whether the request had been passed on.
UNCERTAIN_CODES = frozenset({408, 499})
MAX_MESSAGE_LENGTH = 500
MAX_LOG_LINES = 100
# What signs an address stands behind its `?`: nobody who reads why a job failed may fetch its input.
QUERY = re.compile(r"([a-z][a-z0-9+.-]*://[^\s\"'<>?#]+)[?#][^\s\"'<>]+", re.IGNORECASE)
CONTENT = re.compile(r"(data:[^\s\"'<>,]*),[^\s\"'<>]+")


def is_request_id(value: object) -> TypeGuard[str]:
    """Whether a value may be used as a provider's request id: in a URL, a header and a column."""
    return isinstance(value, str) and REQUEST_ID.fullmatch(value) is not None


def is_refusal(answer: Answer) -> bool:
    """Whether an answer to a submission says for certain that nothing was accepted."""
    return 400 <= answer.status < 500 and answer.status not in UNCERTAIN_CODES


def object_of(answer: Answer) -> dict[str, Any]:
    """The body if it is a JSON object, else an empty one."""
    try:
        value = parse_json(answer.body, nan_as_null=True)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def moment_of(value: object) -> datetime | None:
    """Of ISO 8601 text; without a zone it is UTC. None for anything else."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def readable(text: str) -> str:
    """One line without control, bidirectional and other invisible characters, at most 500 characters long. Of an
    address what its query says is left out, of a file in the text its content."""
    text = QUERY.sub(r"\1?...", CONTENT.sub(r"\1,...", text))
    printable = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(printable.split())
    return line if len(line) <= MAX_MESSAGE_LENGTH else line[: MAX_MESSAGE_LENGTH - 3] + "..."
