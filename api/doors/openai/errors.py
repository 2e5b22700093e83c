"""Errors as OpenAI's clients read them: `error` is an object, beside the members of our problem documents."""

from http import HTTPStatus

from fastapi import Request
from fastapi.responses import JSONResponse

from api.http.language import language_of
from api.http.problems import MEDIA_TYPE, ConfirmationRequired, PriceUnknown, Problem, problem_body
from reelay.domain.messages import Sentence, in_language

PATHS = "/v1/"
TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.PAYMENT_REQUIRED: "insufficient_quota",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}
WORTH_A_RETRY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
"""The official client repeats 408, 409, 429 and 5xx by itself, unless it is told not to."""


def answer_to(request: Request, problem: Problem) -> JSONResponse:
    language = language_of(request)
    needs_a_limit = isinstance(problem, ConfirmationRequired | PriceUnknown)
    status = HTTPStatus.PAYMENT_REQUIRED if needs_a_limit else HTTPStatus(problem.status)
    detail = in_language(Sentence("door_needs_a_limit") if needs_a_limit else problem.detail, language)
    errors = [error | {"message": in_language(error["message"], language)} for error in map(dict, problem.errors)]
    if errors:
        detail = f"{errors[0]['field']} {errors[0]['message']}"
    error = {
        "message": detail,
        "type": type_of(status),
        "param": errors[0]["field"] if errors else None,
        "code": problem.code.lower(),
    }
    body = problem_body(status, problem.code, detail) | {"errors": errors, "error": error} | problem.extra
    headers = {"x-should-retry": "true" if status in WORTH_A_RETRY else "false", **problem.headers}
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def type_of(status: HTTPStatus) -> str:
    return TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
