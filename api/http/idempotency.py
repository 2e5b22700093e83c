"""Requests that may be sent again: what an `Idempotency-Key` created once, its repetitions create never again."""

import hashlib
import json
from typing import Annotated, Any, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from fastapi import Header, Request

from api.dependency import dependency
from api.http.problems import KeyReused
from api.identity.dependencies import CurrentCaller
from reelay.db.tables import Campaign, Clip, GenerationJob
from reelay.domain.messages import Sentence

REPLAYED = {"idempotency-replayed": "true"}

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="The same request with the same key is answered like the first one, and creates nothing.",
    ),
]


class Repeatable:
    """Names what a request creates, so that its repetitions find it: per user, route and key."""

    def __init__(self, request: Request, caller: CurrentCaller, idempotency_key: IdempotencyKey = None) -> None:
        self._key = f"{caller.user_id}:{request.url.path}:{idempotency_key}" if idempotency_key else None

    def new_id(self) -> UUID:
        return uuid5(NAMESPACE_URL, self._key) if self._key else uuid4()

    def fingerprint(self, content: Any, *, is_named: bool = False) -> bytes | None:
        """Of the parsed content, not of its bytes: clients may spell the same request anew.

        None where no repetition can be recognised: without a key, and without a name that the caller gave.
        """
        if not self._key and not is_named:
            return None
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).digest()


Row = TypeVar("Row", GenerationJob, Campaign, Clip)


def ensure_same_request(stored: Row | None, sent: Row) -> Row:
    """The stored row, if it came of the same request. Raises: KeyReused."""
    if stored is None or stored.request_fingerprint != sent.request_fingerprint:
        raise KeyReused(Sentence("key_reused"))
    return stored


Repetition = Annotated[Repeatable, dependency(Repeatable)]
