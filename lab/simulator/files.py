"""The generated files, as media hosts serve them: public, with Content-Length and ranges, or broken on demand."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta

from fastapi import APIRouter, Header, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse

from lab.simulator.answers import OutputFile, output_files
from lab.simulator.clock import Clock
from lab.simulator.connections import Truncated
from lab.simulator.faults import Fault
from lab.simulator.refusals import Refused
from lab.simulator.requests import QueueStatus, SimulatedRequest
from lab.simulator.samples import Medium
from lab.simulator.simulator import Running

router = APIRouter()

PRIVATE_ADDRESS = "http://169.254.169.254/latest/meta-data/"
HUGE = 3 * 1024**3
BLOCK = 1024**2
DRIPS = 20
PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
PAGE = "<!doctype html><title>Sign in</title><p>Sign in to see this file."
SERVED_WELL = (Fault.MEDIA_ROTATED, Fault.MEDIA_EXTRA_THUMBNAIL)
"""Whose files are odd, and not their downloads."""
SINGLE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@router.get("/files/samples/{name}")
async def serve_sample(simulator: Running, name: str) -> Response:
    """The media that all generations are copies of, for pushes that are made by hand."""
    medium = next((medium for medium in Medium if medium.file_name == name), None)
    if medium is None:
        raise Refused(404, {"detail": "Not found"})
    return Response(simulator.samples.file(medium, "sample"), media_type=medium.content_type)


@router.api_route("/files/b/{request_id}/{name}", methods=["GET", "HEAD"])
@router.api_route("/xezq/{request_id}/{name}", methods=["GET", "HEAD"])
async def serve_file(
    simulator: Running, http: Request, request_id: str, name: str, range: str | None = Header(None)
) -> Response:
    request = simulator.queue.requests.get(request_id)
    if request is None or request.status(simulator.clock.now()) is not QueueStatus.COMPLETED:
        raise Refused(404, {"detail": "Not found"})
    file = next((file for file in output_files(request, simulator.samples) if file.name == name), None)
    if file is None:
        raise Refused(404, {"detail": "Not found"})
    fault = _fault_of_download(request, name)
    if http.method == "GET":
        request.downloads[name] = request.downloads.get(name, 0) + 1
        simulator.queue.save(request)
    return _whole(file, range) if fault is None else _broken(request, file, fault, simulator.clock)


def _fault_of_download(request: SimulatedRequest, name: str) -> Fault | None:
    fault = request.faults.one_of("media")
    if fault in SERVED_WELL:
        return None
    share = None if fault is None else request.faults.times.get(fault)
    return fault if share is None or request.downloads.get(name, 0) < share else None


def _whole(file: OutputFile, asked: str | None) -> Response:
    """The file, or the one range of it that was asked for."""
    headers = {"accept-ranges": "bytes"}
    size = len(file.content)
    match = SINGLE_RANGE.fullmatch(asked or "")
    if match is None or match[0] == "bytes=-":
        return Response(file.content, media_type=file.medium.content_type, headers=headers)
    first, last = match[1], match[2]
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{size}"})
    headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    return Response(file.content[start:end], 206, headers, file.medium.content_type)


def _broken(request: SimulatedRequest, file: OutputFile, fault: Fault, clock: Clock) -> Response:
    declared = file.medium.content_type
    match fault:
        case Fault.MEDIA_404:
            return PlainTextResponse("Not found", 404)
        case Fault.MEDIA_EXPIRED:
            return PlainTextResponse("This file has expired", 410)
        case Fault.MEDIA_TRUNCATED:
            return Truncated(file.content, media_type=declared)
        case Fault.MEDIA_HTML:
            return HTMLResponse(PAGE)
        case Fault.MEDIA_REDIRECT_PRIVATE:
            return RedirectResponse(PRIVATE_ADDRESS, 302)
        case Fault.MEDIA_SLOW:
            drops = _dripping(file.content, request.faults.delays[fault], clock)
            return _stream(drops, len(file.content), declared)
        case Fault.MEDIA_HUGE:
            return _stream(_endless(file.content), HUGE, declared)
        case _:
            return Response(PDF, media_type=declared)


def _stream(chunks: AsyncIterator[bytes], size: int, content_type: str) -> Response:
    return StreamingResponse(chunks, headers={"content-length": str(size)}, media_type=content_type)


async def _dripping(content: bytes, over: timedelta, clock: Clock) -> AsyncIterator[bytes]:
    step = -(-len(content) // DRIPS)
    for start in range(0, len(content), step):
        await clock.sleep(over / DRIPS)
        yield content[start : start + step]


async def _endless(content: bytes) -> AsyncIterator[bytes]:
    """A file that begins like the right one and goes on with zeros up to `HUGE`."""
    yield content
    left = HUGE - len(content)
    while left > 0:
        block = bytes(min(BLOCK, left))
        left -= len(block)
        yield block
