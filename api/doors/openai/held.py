"""OpenAI's calls that answer with what was made: the connection is held until the job has ended.

The job goes on when its caller gives up; with the same `Idempotency-Key` the next call waits for the same one.
"""

import time
from base64 import b64encode
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse

from api.context import Context, RequestContext
from api.doors.openai.forms import SentFile, as_asset, body_of, scalar
from api.doors.openai.models import create_asked, inputs_for_size, model_named
from api.generations.read import final_view
from api.generations.schemas import JobView
from api.http.idempotency import IdempotencyKey
from api.http.problems import InvalidParams, Problem, ProblemCode, ServiceUnavailable, field_error
from reelay.catalog.model import JobKind, Model
from reelay.db.generations import find_stored_file
from reelay.domain.failure import FailureCode
from reelay.domain.generation import Status
from reelay.domain.messages import Sentence

HELD_SECONDS = 285.0
TRANSCRIPT_FORMATS = ["json", "text", "verbose_json"]
INPUT_AT_FAULT = (
    FailureCode.PROVIDER_REJECTED,
    FailureCode.CONTENT_POLICY,
    FailureCode.RESULT_FLAGGED,
    FailureCode.INPUT_UNAVAILABLE,
)

router = APIRouter(prefix="/v1", include_in_schema=False)


class GenerationFailed(Problem):
    """A repetition would generate it again."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = ProblemCode.INVALID_PARAMS


@router.post("/audio/speech")
async def create_speech(request: Request, context: Context, key: IdempotencyKey) -> Response:
    """A redirect to the sound, in the container that the model makes, whatever `response_format` says."""
    fields = await body_of(request)
    inputs = {"text": fields.get("input")}
    model = await model_named(context.services, fields.get("model"), JobKind.VOICE, inputs)
    for name in ("voice", "speed"):
        if name in fields and name in model.inputs and model.inputs[name].admits(fields[name]):
            inputs[name] = fields[name]
    job = await _made(request, context, key, model, inputs, sent_for={"text": "input"})
    return RedirectResponse(str(job.result_url), HTTPStatus.FOUND)


@router.post("/audio/transcriptions")
async def create_transcription(request: Request, context: Context, key: IdempotencyKey) -> Response:
    fields = await body_of(request)
    response_format = fields.get("response_format", "json")
    if response_format not in TRANSCRIPT_FORMATS:
        raise _no_such_format(response_format)
    file = fields.get("file")
    inputs: dict[str, Any] = {"audioUrl": await as_asset(context, file) if isinstance(file, SentFile) else file}
    model = await model_named(context.services, fields.get("model"), JobKind.TRANSCRIBE, inputs)
    for name in ("language", "prompt"):
        if name in fields and name in model.inputs:
            inputs[name] = fields[name]
    job = await _made(request, context, key, model, inputs, sent_for={"audioUrl": "file"})
    data = job.result_data or {}
    text = str(data.get("text", "")).strip()
    match response_format:
        case "text":
            return PlainTextResponse(text)
        case "verbose_json":
            return JSONResponse({"task": "transcribe", "text": text, "segments": _segments(data)})
    return JSONResponse({"text": text})


def _no_such_format(response_format: Any) -> InvalidParams:
    message = Sentence("field_choice", choices=", ".join(TRANSCRIPT_FORMATS))
    error = field_error("response_format", message, response_format, TRANSCRIPT_FORMATS)
    return InvalidParams(Sentence("input_invalid"), errors=[error])


def _segments(data: dict[str, Any]) -> list[dict[str, Any]]:
    chunks = data.get("chunks")
    found = []
    for number, chunk in enumerate(chunks if isinstance(chunks, list) else []):
        start, end = (*(chunk.get("timestamp") or ()), None, None)[:2]
        found.append({"id": number, "start": start or 0, "end": end or start or 0, "text": chunk.get("text", "")})
    return found


@router.post("/images/generations")
async def create_images(request: Request, context: Context, key: IdempotencyKey) -> JSONResponse:
    fields = await body_of(request)
    inputs: dict[str, Any] = {"prompt": fields.get("prompt")}
    sent_for = {"numImages": "n"}
    model = await model_named(context.services, fields.get("model"), JobKind.FIRST_FRAME, inputs)
    if fields.get("size") not in (None, "auto"):
        by_size = inputs_for_size(model, str(fields["size"]))
        sent_for |= dict.fromkeys(by_size, "size")
        inputs |= by_size
    if fields.get("n") not in (None, 1) or "numImages" in model.inputs:
        inputs["numImages"] = scalar(fields.get("n") or 1)
    job = await _made(request, context, key, model, inputs, sent_for=sent_for)
    as_bytes = fields.get("response_format") == "b64_json" or (
        fields.get("response_format") is None and str(fields.get("model", "")).startswith("gpt-image")
    )
    data = [await _image(context, job, number, as_bytes=as_bytes) for number in range(len(job.files))]
    return JSONResponse({"created": int(time.time()), "data": data})


async def _image(context: RequestContext, job: JobView, number: int, *, as_bytes: bool) -> dict[str, str]:
    file = job.files[number]
    if not as_bytes:
        return {"url": file.file_url}
    async with context.transaction() as session:
        stored = await find_stored_file(session, context.user_id, job.id, file.name)
    assert stored
    pieces = [piece async for piece in context.services.storage.read(stored.key)]
    return {"b64_json": b64encode(b"".join(pieces)).decode()}


async def _made(
    request: Request,
    context: RequestContext,
    key: str | None,
    model: Model,
    inputs: dict[str, Any],
    *,
    sent_for: Mapping[str, str],
) -> JobView:
    """The completed job. Raises what `create_job` does; GenerationFailed; ServiceUnavailable when it takes too long."""
    created = await create_asked(request, context, key, model, inputs, sent_for=sent_for)
    job = await final_view(context, created.job.id, wait=HELD_SECONDS)
    if job is None:
        late = ServiceUnavailable(Sentence("unavailable"), jobId=str(created.job.id))
        late.headers = {"x-should-retry": "false"}
        raise late
    if job.status is Status.COMPLETED:
        return job
    failed = GenerationFailed(job.error_message or "", jobId=str(job.id))
    if job.error_code not in INPUT_AT_FAULT:
        failed.status, failed.code = HTTPStatus.INTERNAL_SERVER_ERROR, ProblemCode.INTERNAL
    raise failed
