"""What a job came to, as fal's result call answers it: the model's own answer, with our addresses of its files."""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

from api.doors.fal.errors import ERROR_TYPE, REQUEST_ID, TIMEOUT_TYPE
from api.generations.progress import error_code, error_message
from api.http.links import Links
from reelay.db.tables import GenerationJob, MediaFileRow
from reelay.domain.failure import FailureCode
from reelay.domain.generation import JobType, RemoteMedia, Status, media_address
from reelay.domain.language import Language
from reelay.media.archive import PROMISED_KIND, is_companion
from reelay.providers.media_mapping import file_address, media_at, media_of

IN_PROGRESS = "Request is still in progress"
"""fal's own words, which clients look for."""
CANCELED = 499
USER_TIMEOUT = {TIMEOUT_TYPE: "user"}
"""With it no client repeats a 504."""
NUMBERED = re.compile(r"-(\d+)\.[^.]+$")

WRONG_INPUT = {
    FailureCode.PROVIDER_REJECTED: "value_error",
    FailureCode.CONTENT_POLICY: "content_policy_violation",
    FailureCode.RESULT_FLAGGED: "content_policy_violation",
    FailureCode.INPUT_UNAVAILABLE: "file_download_error",
}
"""Failures that fal answers with 422, and how it calls them."""
TIMED_OUT = (FailureCode.DEADLINE_EXCEEDED, FailureCode.WAIT_EXPIRED)
ERROR_TYPES = {
    **WRONG_INPUT,
    FailureCode.CANCELED: "client_cancelled",
    FailureCode.DEADLINE_EXCEEDED: "generation_timeout",
    FailureCode.WAIT_EXPIRED: "request_timeout",
    FailureCode.PROVIDER_ERROR: "internal_server_error",
}
"""fal's names; other failures keep ours."""


def answer_of(job: GenerationJob, files: Sequence[MediaFileRow], links: Links, language: Language) -> JSONResponse:
    """Of a job in whatever state."""
    headers = {REQUEST_ID: str(job.id)}
    status = Status(job.status)
    if not status.is_final:
        return JSONResponse({"detail": IN_PROGRESS}, HTTPStatus.BAD_REQUEST, headers)
    if status is Status.COMPLETED:
        return JSONResponse(own_answer(job, files, links), headers=headers)
    failure = failure_code(job)
    message, error_type = failure_message(job, language), error_type_of(failure)
    body = {"detail": message, "error_type": error_type}
    headers |= {ERROR_TYPE: error_type}
    if failure is FailureCode.CANCELED:
        return JSONResponse(body, CANCELED, headers)
    if failure in WRONG_INPUT:
        wrong = {"loc": ["body"], "msg": message, "type": error_type, "input": None}
        return JSONResponse(body | {"detail": [wrong]}, HTTPStatus.UNPROCESSABLE_ENTITY, headers)
    if failure in TIMED_OUT:
        return JSONResponse(body, HTTPStatus.GATEWAY_TIMEOUT, headers | USER_TIMEOUT)
    return JSONResponse(body, HTTPStatus.INTERNAL_SERVER_ERROR, headers)


def failure_code(job: GenerationJob) -> FailureCode:
    code = error_code(job)
    return code if isinstance(code, FailureCode) else FailureCode.INTERNAL_ERROR


def error_type_of(failure: FailureCode) -> str:
    return ERROR_TYPES.get(failure, failure.value)


def failure_message(job: GenerationJob, language: Language) -> str:
    return error_message(job, language, job.result_data or {}) or failure_code(job).value


def own_answer(job: GenerationJob, files: Sequence[MediaFileRow], links: Links) -> dict[str, Any]:
    """The provider's answer, in which each archived file has our address in place of the provider's."""
    answer = job.result_data or {}
    if job.job_type == JobType.TRANSCRIPTION:
        return answer
    found = media_of(answer) if job.outputs is None else media_at(answer, job.outputs) or media_of(answer)
    addresses = {
        found[place].url: links.to_media(file.file_url or media_address(job.id, file.name))
        for file in files
        if (place := place_in_answer(file, found, JobType(job.job_type))) is not None
    }
    readdressed: dict[str, Any] = with_addresses(answer, addresses)
    return readdressed


def place_in_answer(file: MediaFileRow, found: Sequence[RemoteMedia], job_type: JobType) -> int | None:
    """Which of the answer's files was archived as this one, by the name that it got: see `media_stem`."""
    if numbered := NUMBERED.search(file.name):
        place = int(numbered[1]) - 1
        return place if place < len(found) else None
    promised = PROMISED_KIND.get(job_type)
    main = (place for place, each in enumerate(found) if promised is None or not is_companion(each, promised))
    return next(main, None)


def with_addresses(value: Any, addresses: Mapping[str, str]) -> Any:
    match value:
        case dict():
            return {name: with_addresses(part, addresses) for name, part in value.items()}
        case list():
            return [with_addresses(part, addresses) for part in value]
        case str(text):
            return addresses.get(file_address(text) or "", text)
    return value


def webhook_body(job: GenerationJob, files: Sequence[MediaFileRow], links: Links, language: Language) -> dict[str, Any]:
    """Of a job that has ended."""
    answer = answer_of(job, files, links, language)
    named = {"request_id": str(job.id), "gateway_request_id": str(job.id)}
    payload = json.loads(bytes(answer.body))
    if answer.status_code == HTTPStatus.OK:
        return named | {"status": "OK", "payload": payload}
    return named | {"status": "ERROR", "error": f"Invalid status code: {answer.status_code}", "payload": payload}
