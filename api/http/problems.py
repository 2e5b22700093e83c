"""Errors as clients see them: `application/problem+json` (RFC 9457) with a `code` to act on.

Problem
├── Unauthenticated        401 UNAUTHENTICATED
├── Forbidden              403 FORBIDDEN
├── NotFound               404 NOT_FOUND; also for what belongs to somebody else
├── InvalidParams          422 INVALID_PARAMS; `errors` names every wrong field
├── InsufficientCredits    402 INSUFFICIENT_CREDITS, with what it costs and what there is
├── KeyBudgetSpent         402 KEY_BUDGET_SPENT, with what it costs and the key's budget
├── ConfirmationRequired   409 CONFIRMATION_REQUIRED, with the estimate
├── PriceUnknown           409 PRICE_UNKNOWN
├── KeyReused              422 IDEMPOTENCY_KEY_REUSED
├── Conflict               409 CONFLICT
├── PayloadTooLarge        413 PAYLOAD_TOO_LARGE
├── RateLimited            429 RATE_LIMITED with Retry-After and the RateLimit fields
└── ServiceUnavailable     503 UNAVAILABLE with Retry-After
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Literal
from uuid import UUID

from fastapi.exceptions import RequestValidationError
from pydantic import ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.json_schema import SkipJsonSchema

from api.http.wire import Described
from reelay.catalog.errors import shown
from reelay.domain.messages import Sentence

MEDIA_TYPE = "application/problem+json"
SCHEMAS = "#/components/schemas/"
CHOICES = ("enum", "literal_error")
"""The framework's kinds of error for a value that is none of those allowed."""


class ProblemCode(StrEnum):
    """What went wrong, for a program to act on.

    - `INVALID_PARAMS`: `errors` names each wrong field. Correct the request.
    - `UNAUTHENTICATED`: no key or token, or one that is not accepted.
    - `FORBIDDEN`: this needs more than the caller may do.
    - `NOT_FOUND`: there is no such thing, or it belongs to somebody else.
    - `METHOD_NOT_ALLOWED`: the path has other methods, which `Allow` names.
    - `INSUFFICIENT_CREDITS`: the price is more than there is.
    - `KEY_BUDGET_SPENT`: the price is more than is left of the API key's budget.
    - `CONFIRMATION_REQUIRED`: the price is above the interactive budget. Send `confirm: true`.
    - `PRICE_UNKNOWN`: nobody knows the price in advance. Send `maxCostCents`.
    - `CONFLICT`: the state of what is there does not allow it.
    - `IDEMPOTENCY_KEY_REUSED`: the key was used with a different request.
    - `PAYLOAD_TOO_LARGE`: the body is larger than allowed.
    - `REQUEST_TIMEOUT`: the body did not arrive in time.
    - `RANGE_NOT_SATISFIABLE`: the file has no such bytes.
    - `RATE_LIMITED`: too many requests. Retry after `Retry-After` seconds.
    - `UNAVAILABLE`: the service cannot do it at the moment. Retry after `Retry-After` seconds.
    - `INTERNAL`: an error of ours, which is logged.
    """

    INVALID_PARAMS = "INVALID_PARAMS"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    INSUFFICIENT_CREDITS = "INSUFFICIENT_CREDITS"
    KEY_BUDGET_SPENT = "KEY_BUDGET_SPENT"
    CONFIRMATION_REQUIRED = "CONFIRMATION_REQUIRED"
    PRICE_UNKNOWN = "PRICE_UNKNOWN"
    CONFLICT = "CONFLICT"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    RANGE_NOT_SATISFIABLE = "RANGE_NOT_SATISFIABLE"
    RATE_LIMITED = "RATE_LIMITED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


class Problem(Exception):
    """`detail` and each `message` in `errors` are `Sentence`s, so that they can be said in the language asked for."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = ProblemCode.INTERNAL
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
    code = ProblemCode.UNAUTHENTICATED
    headers: Mapping[str, str] = {"www-authenticate": "Bearer"}
    error = Sentence("not_authenticated")


class Forbidden(Problem):
    status = HTTPStatus.FORBIDDEN
    code = ProblemCode.FORBIDDEN


class NotFound(Problem):
    status = HTTPStatus.NOT_FOUND
    code = ProblemCode.NOT_FOUND

    def __init__(self, detail: str = Sentence("not_found")) -> None:
        super().__init__(detail)


class InvalidParams(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = ProblemCode.INVALID_PARAMS


class InsufficientCredits(Problem):
    status = HTTPStatus.PAYMENT_REQUIRED
    code = ProblemCode.INSUFFICIENT_CREDITS


class KeyBudgetSpent(Problem):
    status = HTTPStatus.PAYMENT_REQUIRED
    code = ProblemCode.KEY_BUDGET_SPENT


class ConfirmationRequired(Problem):
    status = HTTPStatus.CONFLICT
    code = ProblemCode.CONFIRMATION_REQUIRED


class PriceUnknown(Problem):
    status = HTTPStatus.CONFLICT
    code = ProblemCode.PRICE_UNKNOWN


class KeyReused(Problem):
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = ProblemCode.IDEMPOTENCY_KEY_REUSED


class Conflict(Problem):
    status = HTTPStatus.CONFLICT
    code = ProblemCode.CONFLICT


class PayloadTooLarge(Problem):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = ProblemCode.PAYLOAD_TOO_LARGE


class RateLimited(Problem):
    status = HTTPStatus.TOO_MANY_REQUESTS
    code = ProblemCode.RATE_LIMITED

    def __init__(self, detail: str, headers: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.headers = headers


class ServiceUnavailable(Problem):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = ProblemCode.UNAVAILABLE
    headers: Mapping[str, str] = {"retry-after": "2"}


class FieldProblemView(Described):
    """One wrong field or parameter."""

    field: str
    """The field's name, as it was sent."""
    message: str
    """What is wrong with it, for a person, in the language asked for: it goes on after the name."""
    limit: Any
    """What is allowed: a list of values, or an object of bounds by name; null where nothing is."""
    value: Any
    """What was sent, shortened; an object or a list is described in words."""


class ProblemView(Described):
    """An error (RFC 9457)."""

    model_config = ConfigDict(alias_generator=to_camel, json_schema_serialization_defaults_required=False)

    type: Literal["about:blank"]
    """Always `about:blank`: `code` tells the errors apart."""
    title: str
    """The HTTP status in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What went wrong, for a person, in the language asked for."""
    code: ProblemCode
    """What went wrong, for a program."""
    error: str
    """What went wrong in short, for a person, in the language asked for."""
    errors: list[FieldProblemView]
    """With `INVALID_PARAMS` each wrong field, else empty."""
    estimated_cost_cents: int | SkipJsonSchema[None] = None
    """With `CONFIRMATION_REQUIRED`, `INSUFFICIENT_CREDITS` and `KEY_BUDGET_SPENT`: the price in US cents."""
    available_cents: int | SkipJsonSchema[None] = None
    """With `INSUFFICIENT_CREDITS`: what there is, in US cents."""
    monthly_budget_cents: int | SkipJsonSchema[None] = None
    """With `INSUFFICIENT_CREDITS`, where the monthly budget is spent: the budget in US cents."""
    spent_this_month_cents: int | SkipJsonSchema[None] = None
    """With `INSUFFICIENT_CREDITS`, where the monthly budget is spent: what was spent of it, in US cents."""
    key_budget_cents: int | SkipJsonSchema[None] = None
    """With `KEY_BUDGET_SPENT`: the API key's budget in US cents."""
    key_spent_cents: int | SkipJsonSchema[None] = None
    """With `KEY_BUDGET_SPENT`: what was spent of it, in US cents."""
    job_id: UUID | SkipJsonSchema[None] = None
    """With `CONFLICT`: the job that has the `externalId` already."""


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"{SCHEMAS}{ProblemView.__name__}"}}}
    return {int(status): {"description": status.phrase, "content": content} for status in statuses}


def problem_body(
    status: int, code: ProblemCode, detail: str, *, error: str | None = None, **extra: Any
) -> dict[str, Any]:
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


def field_error(field: str, message: str, value: Any, limit: Any = None) -> dict[str, Any]:
    """What is wrong with a field."""
    return {"field": field, "message": message, "limit": limit, "value": shown(value)}


@contextmanager
def errors_of_the_body(*place: str) -> Iterator[None]:
    """What is wrong with a model that is made of a body, or of what is at that place of it, is wrong with the body.

    Raises: RequestValidationError.
    """
    try:
        yield
    except ValidationError as invalid:
        errors = [{**error, "loc": ("body", *place, *error["loc"])} for error in invalid.errors(include_url=False)]
        raise RequestValidationError(errors) from invalid


def field_errors(error: RequestValidationError) -> list[dict[str, Any]]:
    """What the framework found, as our errors name it."""
    return [
        {
            "field": shown(".".join(str(part) for part in entry["loc"][1:]) or str(entry["loc"][0])),
            "message": _sentence_for(entry["type"], entry.get("ctx", {})) or entry["msg"],
            "limit": _limit(entry["type"], entry.get("ctx", {})),
            "value": shown(entry.get("input")),
        }
        for entry in error.errors()
    ]


def _limit(kind: str, context: Mapping[str, Any]) -> list[str] | dict[str, Any] | None:
    if kind in CHOICES:
        return _choices(context)
    return {name: shown(limit) for name, limit in context.items() if name != "error"} or None


def _choices(context: Mapping[str, Any]) -> list[str]:
    """Out of `'a', 'b' or 'c'`."""
    return re.findall("'([^']*)'", context["expected"])


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
        case _ if kind in CHOICES:
            return Sentence("field_choice", choices=", ".join(_choices(context)))
        case "greater_than_equal":
            return Sentence("field_at_least", least=context["ge"])
        case "less_than_equal":
            return Sentence("field_at_most", most=context["le"])
    return None
