"""Every error leaves in one shape, in the language that was asked for."""

from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus

import structlog
from fastapi import FastAPI, Request
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
from workflows.runs import TemporalUnavailable

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
}
"""What operators are refused, in English."""
OUTAGES = (TemporalUnavailable, *POSTGRES_UNAVAILABLE)

log = structlog.get_logger()


def install_problem_handlers(app: FastAPI) -> None:
    """Every error leaves in the one shape."""
    app.add_exception_handler(Problem, _problem)  # type: ignore[arg-type]  # Starlette types them all as Exception
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    for kind in REFUSALS:
        app.add_exception_handler(kind, _operators)
    for outage in OUTAGES:
        app.add_exception_handler(outage, _outage)
    app.add_exception_handler(Exception, _bug)


async def _problem(request: Request, problem: Problem) -> JSONResponse:
    if isinstance(problem, ServiceUnavailable):
        _log_outage(request, problem.__cause__ or problem)
    language = language_of(request)
    errors = [error | {"message": in_language(error["message"], language)} for error in map(dict, problem.errors)]
    detail, short = in_language(problem.detail, language), problem.error and in_language(problem.error, language)
    extra = {"errors": errors} | problem.extra
    body = problem_body(problem.status, problem.code, detail, error=short, **extra)
    return JSONResponse(body, problem.status, dict(problem.headers), MEDIA_TYPE)


async def _operators(request: Request, error: Exception) -> JSONResponse:
    return await _problem(request, REFUSALS[type(error)](str(error)))


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    return await _problem(request, InvalidParams(Sentence("request_invalid"), errors=field_errors(error)))


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.BAD_REQUEST:  # the framework's answer to bytes that are not text
        return await _problem(request, InvalidParams(Sentence("body_not_json")))
    detail = in_language(FRAMEWORK_DETAILS.get(status, error.detail), language_of(request))
    body = problem_body(status, CODES.get(status, ProblemCode.INTERNAL), detail)
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
    problem = ServiceUnavailable(Sentence("unavailable"))
    problem.__cause__ = error
    return await _problem(request, problem)


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


async def _bug(request: Request, _: Exception) -> JSONResponse:
    bug = Problem(Sentence("internal_error_detail"))
    bug.error = Sentence("internal_error")
    return await _problem(request, bug)
