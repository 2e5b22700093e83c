"""Errors as fal's clients read them: `detail`, a text or a list of what is wrong with the input.

A submission that was taken is never answered with a status that makes a client send it again: fal-client repeats 408,
409 and 429, @fal-ai/client 429, 502, 503 and 504.
"""

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from api.doors.fal.replays import ClientGone
from api.http.language import language_of
from api.http.problem_handlers import OUTAGES, problem_from
from api.http.problems import ConfirmationRequired, Conflict, InvalidParams, PriceUnknown, Problem
from reelay.domain.messages import Sentence, in_language

REQUEST_ID = "x-fal-request-id"
ERROR_TYPE = "x-fal-error-type"
NOBODY_LISTENS = 499
TIMEOUT_TYPE = "x-fal-request-timeout-type"


class FalRoute(APIRoute):
    """A route whose errors leave in fal's shape."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_in_fals_shape(request: Request) -> Response:
            try:
                return await handle(request)
            except ClientGone:
                return Response(status_code=NOBODY_LISTENS)
            except (Problem, RequestValidationError, *OUTAGES) as error:
                return answer_to(request, problem_from(request, error))

        return handle_in_fals_shape


def answer_to(request: Request, problem: Problem) -> JSONResponse:
    language, status = language_of(request), status_of(problem)
    detail: str | list[dict[str, Any]] = in_language(problem.detail, language)
    if status is HTTPStatus.UNPROCESSABLE_ENTITY and problem.errors:
        detail = [_wrong_field(error, in_language(error["message"], language)) for error in problem.errors]
    elif status is HTTPStatus.NOT_FOUND and problem.errors:
        detail = f"{problem.errors[0]['value']} {in_language(problem.errors[0]['message'], language)}"
    elif isinstance(problem, ConfirmationRequired | PriceUnknown):
        detail = in_language(Sentence("door_needs_a_limit"), language)
    headers = {ERROR_TYPE: problem.code.lower(), **problem.headers}
    return JSONResponse({"detail": detail, "error_type": problem.code.lower()}, status, headers)


def status_of(problem: Problem) -> HTTPStatus:
    match problem:
        case InvalidParams() if any(error["field"] == "model" for error in problem.errors):
            return HTTPStatus.NOT_FOUND
        case ConfirmationRequired() | PriceUnknown():
            return HTTPStatus.PAYMENT_REQUIRED
        case Conflict():
            return HTTPStatus.UNPROCESSABLE_ENTITY
    return problem.status


def _wrong_field(error: Mapping[str, Any], message: str) -> dict[str, Any]:
    return {
        "loc": ["body", *str(error["field"]).split(".")],
        "msg": message,
        "type": "value_error",
        "input": error["value"],
        **({"ctx": error["limit"]} if isinstance(error["limit"], dict) else {}),
    }
