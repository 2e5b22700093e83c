"""Errors as clients see them: `application/problem+json` (RFC 9457) with a `code` to act on.

Problem
├── Unauthenticated        401 UNAUTHENTICATED
├── Forbidden              403 FORBIDDEN
├── NotFound               404 NOT_FOUND; also for what belongs to somebody else
├── InvalidParams          422 INVALID_PARAMS; `errors` names every wrong field
├── InsufficientCredits    402 INSUFFICIENT_CREDITS, with what it costs and what there is
├── ConfirmationRequired   409 CONFIRMATION_REQUIRED, with the estimate
├── KeyReused              422 IDEMPOTENCY_KEY_REUSED
├── Conflict               409 CONFLICT
├── PayloadTooLarge        413 PAYLOAD_TOO_LARGE
├── RateLimited            429 RATE_LIMITED with Retry-After and the RateLimit fields
└── ServiceUnavailable     503 UNAVAILABLE with Retry-After
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field

from reelay.catalog.errors import shown
from reelay.domain.messages import Sentence

MEDIA_TYPE = "application/problem+json"
SCHEMAS = "#/components/schemas/"


class Problem(Exception):
    """`detail` and each `message` in `errors` are `Sentence`s, so that they can be said in the language asked for."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "INTERNAL"
    headers: Mapping[str, str] = {}
    error: str | None = None
    """In short what it is; None where the detail is short."""

    def __init__(self, detail: str, *, errors: Sequence[Mapping[str, Any]] = (), **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.extra = extra


class Unauthenticated(Problem):
    status = HTTPStatus.UNAUTHORIZED
    code = "UNAUTHENTICATED"
    headers: Mapping[str, str] = {"www-authenticate": "Bearer"}
    error = Sentence("not_authenticated")


class Forbidden(Problem):
    status = HTTPStatus.FORBIDDEN
    code = "FORBIDDEN"


class NotFound(Problem):
    status = HTTPStatus.NOT_FOUND
    code = "NOT_FOUND"

    def __init__(self, detail: str = Sentence("not_found")) -> None:
        super().__init__(detail)


class InvalidParams(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "INVALID_PARAMS"


class InsufficientCredits(Problem):
    status = HTTPStatus.PAYMENT_REQUIRED
    code = "INSUFFICIENT_CREDITS"


class ConfirmationRequired(Problem):
    status = HTTPStatus.CONFLICT
    code = "CONFIRMATION_REQUIRED"


class KeyReused(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "IDEMPOTENCY_KEY_REUSED"


class Conflict(Problem):
    status = HTTPStatus.CONFLICT
    code = "CONFLICT"


class PayloadTooLarge(Problem):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "PAYLOAD_TOO_LARGE"


class RateLimited(Problem):
    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "RATE_LIMITED"

    def __init__(self, detail: str, headers: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.headers = headers


class ServiceUnavailable(Problem):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "UNAVAILABLE"
    headers: Mapping[str, str] = {"retry-after": "2"}


class FieldProblemView(BaseModel):
    """One wrong field."""

    field: str
    message: str
    limit: Any
    value: Any


class ProblemView(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str = Field(description="For a person to read.")
    code: str = Field(description="For a program to act on, e.g. `INVALID_PARAMS`.")
    error: str = Field(description="In short, in the language asked for.")
    errors: list[FieldProblemView] = Field(description="With `INVALID_PARAMS` every wrong field, else empty.")


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"{SCHEMAS}{ProblemView.__name__}"}}}
    return {int(status): {"description": status.phrase, "content": content} for status in statuses}


def problem_body(status: int, code: str, detail: str, *, error: str | None = None, **extra: Any) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "error": error or detail,
        "errors": [],
        **extra,
    }


def field_errors(error: RequestValidationError) -> list[dict[str, Any]]:
    """What the framework found, as our errors name it."""
    return [
        {
            "field": shown(".".join(str(part) for part in entry["loc"][1:]) or str(entry["loc"][0])),
            "message": _sentence_for(entry["type"], entry.get("ctx", {})) or entry["msg"],
            "limit": {name: shown(limit) for name, limit in entry.get("ctx", {}).items() if name != "error"} or None,
            "value": shown(entry.get("input")),
        }
        for entry in error.errors()
    ]


def _sentence_for(kind: str, context: Mapping[str, Any]) -> str | None:
    """The framework's kind of error as a sentence of ours, if there is one."""
    match kind:
        case "value_error" if context["error"].args and isinstance(sentence := context["error"].args[0], Sentence):
            return sentence
        case "missing":
            return Sentence("field_required")
        case "string_type":
            return Sentence("field_string")
        case "string_too_long":
            return Sentence("field_longer_than", most=context["max_length"])
        case "string_too_short":
            return Sentence("field_shorter_than", least=context["min_length"])
        case "uuid_parsing" | "uuid_type":
            return Sentence("field_uuid")
        case "int_parsing" | "int_type" | "int_from_float":
            return Sentence("field_whole")
        case "float_parsing" | "float_type":
            return Sentence("field_numeric")
        case "bool_parsing" | "bool_type":
            return Sentence("field_flag")
        case "dict_type" | "model_attributes_type":
            return Sentence("field_object")
        case "json_invalid":
            return Sentence("field_json")
        case "extra_forbidden":
            return Sentence("field_not_known")
        case "enum" | "literal_error":
            return Sentence("field_choice", choices=context["expected"])
        case "greater_than_equal":
            return Sentence("field_at_least", least=context["ge"])
        case "less_than_equal":
            return Sentence("field_at_most", most=context["le"])
    return None
