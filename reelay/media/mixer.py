"""Makes a film in a process of its own, which takes no more than a film may, knows no secret, and dies on cancel."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

import structlog

from reelay.media.errors import BadMedia, DecoderUnavailable, TooCostly
from reelay.media.inspection import OUT_OF_MEMORY
from reelay.media.mix import LINE, PLAN, Film, Mix, MixerLine, OnProgress

PROGRAM = ("-I", "-X", "utf8", "-m", "reelay.media.mixer_process")
MEMORY_BYTES = 2 * 1024**3
"""Address space. Ten minutes of 1080p take as much as ten seconds."""
SILENT_SECONDS = 600
"""A film of which nothing is written for so long is given up."""

log = structlog.get_logger()


async def make_film(plan: Mix, *, at_most_bytes: int, on_progress: OnProgress = lambda fraction: None) -> Film:
    """As `reelay.media.film.mix`, without blocking. Cancelled, it kills the process.

    Raises: BadMedia (TooCostly, where it took more than it may, or killed its process), DecoderUnavailable.
    """
    arguments = (str(MEMORY_BYTES), str(at_most_bytes))
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *PROGRAM, *arguments, stdin=PIPE, stdout=PIPE, env={}, cwd="/"
        )
    except OSError as error:
        raise DecoderUnavailable(f"no process can be started: {error.strerror}") from error
    try:
        answer = await _answer(process, plan, on_progress)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        exit_code = await process.wait()
    if answer is None:
        raise _cause_of_death(exit_code)
    if answer.bug:
        log.error("mix_failed", traceback=answer.bug)
    if answer.film is None:
        raise BadMedia(answer.bad_media or "the film cannot be made")
    return answer.film


async def _answer(process: Process, plan: Mix, on_progress: OnProgress) -> MixerLine | None:
    """Its last line; None when it died before that."""
    assert process.stdin
    assert process.stdout
    with suppress(ConnectionError):
        process.stdin.write(PLAN.dump_json(plan) + b"\n")
        await process.stdin.drain()
    while True:
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                text = await process.stdout.readline()
        except TimeoutError as error:
            raise TooCostly(f"nothing of the film was written for {SILENT_SECONDS} s") from error
        if not text:
            await process.wait()
            return None
        line = LINE.validate_json(text)
        if line.fraction is None:
            return line
        on_progress(line.fraction)


def _cause_of_death(exit_code: int) -> TooCostly:
    if exit_code == OUT_OF_MEMORY:
        return TooCostly(f"the film takes more than {MEMORY_BYTES >> 20} MiB to make")
    if exit_code == -signal.SIGXFSZ:
        return TooCostly("the film has more bytes than a file may have")
    return TooCostly(f"the process that made the film ended with exit code {exit_code}")
