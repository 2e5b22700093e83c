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
from http import HTTPMethod, HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError
from starlette.exceptions import HTTPException
from starlette.routing import Match
from temporalio.service import RPCError

from catalog.errors import shown
from db.engine import POSTGRES_AWAY

MEDIA_TYPE = "application/problem+json"
SCHEMAS = "#/components/schemas/"


class Problem(Exception):
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code = "INTERNAL"
    headers: Mapping[str, str] = {}

    def __init__(self, detail: str, *, errors: Sequence[Mapping[str, Any]] = (), **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.extra = extra


class Unauthenticated(Problem):
    status = HTTPStatus.UNAUTHORIZED
    code = "UNAUTHENTICATED"
    headers: Mapping[str, str] = {"www-authenticate": "Bearer"}


class Forbidden(Problem):
    status = HTTPStatus.FORBIDDEN
    code = "FORBIDDEN"


class NotFound(Problem):
    status = HTTPStatus.NOT_FOUND
    code = "NOT_FOUND"

    def __init__(self, detail: str = "There is nothing here that you may see.") -> None:
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


CODES = {
    HTTPStatus.UNAUTHORIZED: Unauthenticated.code,
    HTTPStatus.FORBIDDEN: Forbidden.code,
    HTTPStatus.NOT_FOUND: NotFound.code,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: PayloadTooLarge.code,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "RANGE_NOT_SATISFIABLE",
}
OUTAGES = (RPCError, *POSTGRES_AWAY)
# The database is there and says that the statement is wrong: trying again would not help.
BUGS = (IntegrityError, ProgrammingError, DataError)


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
    errors: list[FieldProblemView] = Field(description="With `INVALID_PARAMS` every wrong field, else empty.")


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"{SCHEMAS}{ProblemView.__name__}"}}}
    return {int(status): {"description": status.phrase, "content": content} for status in statuses}


def problem_body(status: int, code: str, detail: str, **extra: Any) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [],
        **extra,
    }


def install_problem_handlers(app: FastAPI) -> None:
    """Every error leaves in the one shape."""
    app.add_exception_handler(Problem, _problem)  # type: ignore[arg-type]  # Starlette types them all as Exception
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    for outage in OUTAGES:
        app.add_exception_handler(outage, _outage)
    app.add_exception_handler(Exception, _bug)


async def _problem(_: Request, problem: Problem) -> JSONResponse:
    extra = {"errors": list(problem.errors)} | problem.extra
    body = problem_body(problem.status, problem.code, problem.detail, **extra)
    return JSONResponse(body, problem.status, dict(problem.headers), MEDIA_TYPE)


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    return await _problem(request, InvalidParams("The request does not fit.", errors=wrong_fields(error)))


def wrong_fields(error: RequestValidationError) -> list[dict[str, Any]]:
    """What the framework found, as our errors name it."""
    return [
        {
            "field": shown(".".join(str(part) for part in entry["loc"][1:]) or str(entry["loc"][0])),
            "message": entry["msg"],
            "limit": {name: shown(limit) for name, limit in entry.get("ctx", {}).items() if name != "error"} or None,
            "value": shown(entry.get("input")),
        }
        for entry in error.errors()
    ]


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.BAD_REQUEST:  # the framework's word for bytes that are no text
        return await _problem(request, InvalidParams("The body cannot be read: it is no JSON in UTF-8."))
    body = problem_body(status, CODES.get(status, status.name), str(error.detail))
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods_of_path(request)):
        headers["Allow"] = ", ".join(methods)
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def _methods_of_path(request: Request) -> list[str]:
    """Of all its routes: the framework's own `Allow` tells those of the first one alone."""
    return [
        method
        for method in HTTPMethod
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


async def _outage(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, BUGS):
        raise error
    return await _problem(request, ServiceUnavailable("A part of the service does not answer. Try again shortly."))


async def _bug(request: Request, _: Exception) -> JSONResponse:
    return await _problem(request, Problem("Something went wrong here, not in your request. It has been logged."))
