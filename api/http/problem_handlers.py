"""Every error leaves in one shape, in the language that was asked for."""

from collections.abc import Callable, Mapping
from http import HTTPMethod, HTTPStatus
from types import MappingProxyType

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from api.http.language import language_of
from api.http.problems import (
    MEDIA_TYPE,
    Conflict,
    InvalidParams,
    NotFound,
    Problem,
    ProblemCode,
    ServiceUnavailable,
    field_errors,
    problem_body,
)
from reelay.db.credits import AmountRefused
from reelay.db.engine import POSTGRES_UNAVAILABLE
from reelay.db.users import AmbiguousUser
from reelay.domain.messages import Sentence, in_language
from reelay.operators import NotWaiting, UnknownKey, UnknownUser, UserExists, UserIsBeingDeleted
from workflows.runs import BillNotReconciled, TemporalUnavailable

CODES = {
    HTTPStatus.UNAUTHORIZED: ProblemCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: ProblemCode.FORBIDDEN,
    HTTPStatus.NOT_FOUND: ProblemCode.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: ProblemCode.METHOD_NOT_ALLOWED,
    HTTPStatus.REQUEST_TIMEOUT: ProblemCode.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ProblemCode.PAYLOAD_TOO_LARGE,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: ProblemCode.RANGE_NOT_SATISFIABLE,
}
FRAMEWORK_DETAILS = {
    HTTPStatus.NOT_FOUND: Sentence("not_found"),
    HTTPStatus.METHOD_NOT_ALLOWED: Sentence("method_not_allowed"),
}
"""What the framework raises by itself, in our words."""
REFUSALS: Mapping[type[Exception], type[Problem]] = {
    UnknownUser: NotFound,
    UnknownKey: NotFound,
    UserExists: Conflict,
    UserIsBeingDeleted: Conflict,
    NotWaiting: Conflict,
    AmbiguousUser: Conflict,
    AmountRefused: InvalidParams,
    BillNotReconciled: Conflict,
}
"""What operators are refused, in English."""
OUTAGES = (TemporalUnavailable, *POSTGRES_UNAVAILABLE)
Answer = Callable[[Request, Problem], Response]
"""The problem in the shape that a protocol's clients read."""

log = structlog.get_logger()


def install_problem_handlers(app: FastAPI, *, doors: Mapping[str, Answer] = MappingProxyType({})) -> None:
    """Every error leaves in the one shape; below the paths of `doors` in that of another protocol."""

    async def handle(request: Request, error: Exception) -> Response:
        problem = problem_from(request, error)
        if isinstance(problem, ServiceUnavailable):
            _log_outage(request, problem.__cause__ or problem)
        path = request.scope["path"]
        answer = next((doors[door] for door in doors if path.startswith(door)), answer_to)
        return answer(request, problem)

    for kind in (Problem, RequestValidationError, HTTPException, *REFUSALS, *OUTAGES, Exception):
        app.add_exception_handler(kind, handle)


def answer_to(request: Request, problem: Problem) -> JSONResponse:
    language = language_of(request)
    errors = [error | {"message": in_language(error["message"], language)} for error in map(dict, problem.errors)]
    detail, short = in_language(problem.detail, language), problem.error and in_language(problem.error, language)
    extra = {"errors": errors} | problem.extra
    body = problem_body(problem.status, problem.code, detail, error=short, **extra)
    return JSONResponse(body, problem.status, dict(problem.headers), MEDIA_TYPE)


def problem_from(request: Request, error: Exception) -> Problem:
    """What any error is to the caller. One that nobody expected tells nothing."""
    problem: Problem
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return InvalidParams(Sentence("request_invalid"), errors=field_errors(error))
        case HTTPException():
            return _problem_from_framework(request, error)
        case _ if kind := REFUSALS.get(type(error)):
            return kind(str(error))
        case _ if isinstance(error, OUTAGES):
            problem = ServiceUnavailable(Sentence("unavailable"))
            problem.__cause__ = error
        case _:
            problem = Problem(Sentence("internal_error_detail"))
            problem.error = Sentence("internal_error")
    return problem


def _problem_from_framework(request: Request, error: HTTPException) -> Problem:
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.BAD_REQUEST:  # the framework's answer to bytes that are not text
        return InvalidParams(Sentence("body_not_json"))
    problem = Problem(FRAMEWORK_DETAILS.get(status, error.detail))
    problem.status, problem.code = status, CODES.get(status, ProblemCode.INTERNAL)
    problem.headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods_of_path(request)):
        problem.headers = {**problem.headers, "Allow": ", ".join(methods)}
    return problem


def _methods_of_path(request: Request) -> list[str]:
    """Of all its routes: the framework's own `Allow` tells those of the first one alone."""
    return [
        method
        for method in HTTPMethod
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


def _log_outage(request: Request, error: BaseException) -> None:
    """`error`: what was not available. The line has the request's id, as all lines of a request."""
    log.warning(
        "service_unavailable",
        method=request.method,
        path=request.url.path,
        error_type=type(error).__name__,
        error=str(error),
        cause=repr(error.__cause__) if error.__cause__ else None,
    )
