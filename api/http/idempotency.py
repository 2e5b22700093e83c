"""Requests that are safe to retry: what an `Idempotency-Key` created once is found by its repetitions."""

import hashlib
import json
from typing import Annotated, Any, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from fastapi import Depends, Header, Request

from api.http.problems import KeyReused
from api.identity.dependencies import CurrentCaller
from reelay.db.tables import Batch, Campaign, Clip, GenerationJob, PipelineRow
from reelay.domain.messages import Sentence

REPLAYED = {"idempotency-replayed": "true"}


async def _scoped_key(
    request: Request,
    caller: CurrentCaller,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern=r"^[\x20-\x7e]+$",
            description="Makes the request safe to retry: with the same key it is answered as the first time, and "
            "creates nothing more.",
        ),
    ] = None,
) -> str | None:
    return f"{caller.user_id}:{request.url.path}:{idempotency_key}" if idempotency_key else None


IdempotencyKey = Annotated[str | None, Depends(_scoped_key)]
"""The request's key within its user and path; None without one."""


def id_for(key: str | None) -> UUID:
    """The id of what a request creates: the same for all repetitions with one key."""
    return uuid5(NAMESPACE_URL, key) if key else uuid4()


def fingerprint(content: Any) -> bytes:
    """Of the parsed content, not of its bytes: clients may serialize the same request differently."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).digest()


Row = TypeVar("Row", GenerationJob, Campaign, Clip, Batch, PipelineRow)


def ensure_same_request(stored: Row | None, sent: Row) -> Row:
    """The stored row, if the same request created it. Raises: KeyReused."""
    if stored is None or stored.request_fingerprint != sent.request_fingerprint:
        raise KeyReused(Sentence("key_reused"))
    return stored
