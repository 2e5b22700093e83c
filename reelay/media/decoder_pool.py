"""Processes that look into media files, kept from file to file.

FFmpeg parses what strangers made. In there it takes no more than a file may of memory, CPU and time, knows no secret,
and ends nothing but itself.
"""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import structlog
from pydantic import TypeAdapter

from reelay.domain.provenance import NO_CREDENTIALS, Provenance
from reelay.media.errors import BadMedia, DecoderUnavailable, OutOfTime, TooCostly
from reelay.media.inspection import OUT_OF_MEMORY, READY, TAKEN, Answer, Inspection, Request

log = structlog.get_logger()

PROGRAM = ("-I", "-X", "utf8", "-m", "reelay.media.decoder_process")
START_SECONDS = 60
ANSWER = TypeAdapter(Answer)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one file may take of the process that looks into it."""

    cpu: timedelta
    wall: timedelta
    """For a disk that hangs. Far longer than the CPU time, or a busy machine would condemn good files."""
    memory_bytes: int = 512 * 1024**2
    """Address space: 120 MiB are taken before the first file."""


# A clip takes 20 ms, the poster of one in 4K 250.
QUICK = Limits(cpu=timedelta(seconds=0.5), wall=timedelta(seconds=20))
PATIENT = Limits(cpu=timedelta(seconds=10), wall=timedelta(minutes=2))
QUICK_PROCESSES = 2
PATIENT_PROCESSES = 1


class Inspect(Protocol):
    async def __call__(self, path: Path, *, poster: Path | None, check_end: bool) -> Inspection:
        """As `reelay.media.probe.inspect`, without blocking. Raises: BadMedia, DecoderUnavailable."""
        ...


class DecoderPool:
    """An async context manager. A process is started when there is a file for it, and replaced when a file killed it.

    A file that takes long is left and looked at again, with others of its kind, in a line of their own: however many
    come, no other file waits longer for them than `quick` allows each.
    """

    def __init__(
        self, quick: Limits | None = None, patient: Limits | None = None, *, trust_anchors: Path | None = None
    ) -> None:
        """`trust_anchors`: who may vouch for the signer of Content Credentials, a file of certificates (PEM)."""
        self._trust_anchors = str(trust_anchors.absolute()) if trust_anchors else None
        self._quick = DecoderLine(quick or QUICK, QUICK_PROCESSES)
        self._patient = DecoderLine(patient or PATIENT, PATIENT_PROCESSES)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._quick.close()
        await self._patient.close()

    async def inspect(self, path: Path, *, poster: Path | None = None, check_end: bool = False) -> Inspection:
        """What the file holds, what its Content Credentials are worth, and its poster written. Cancelled, it kills the
        process that looks.

        Raises: BadMedia (TooCostly, where the file took more than `patient` allows or killed its process),
        DecoderUnavailable.
        """
        answer = await self._ask(_request(path, poster=poster, check_end=check_end))
        if answer.inspection is None:
            raise _bad_media(answer)
        check = _check_of_credentials(path, self._trust_anchors)
        provenance = await self._provenance(check) if answer.inspection.has_credentials else NO_CREDENTIALS
        return replace(answer.inspection, provenance=provenance)

    async def _provenance(self, check: Request) -> Provenance | None:
        """None where it cannot be told, which is no reason to refuse the file. Raises: DecoderUnavailable."""
        try:
            return (await self._ask(check)).provenance
        except TooCostly as error:
            log.warning("provenance_not_read", reason=str(error))
            return None

    async def _ask(self, request: Request) -> Answer:
        """Raises: TooCostly, DecoderUnavailable."""
        try:
            answer = await self._quick.ask(request)
        except OutOfTime:
            answer = await self._patient.ask(request)
        if answer.bug:
            log.error("media_inspection_failed", traceback=answer.bug)
        return answer

    async def write_sheet(self, path: Path, to: Path) -> None:
        """A JPEG of sixteen moments of the video. Raises what `inspect` does."""
        answer = await self._ask(_request(path, sheet=to))
        if not answer.has_sheet:
            raise _bad_media(answer)


class DecoderLine:
    """A few processes with the same limits; files wait for them in the order in which they came."""

    def __init__(self, limits: Limits, processes: int) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(processes)
        self._idle: list[Process] = []

    async def ask(self, request: Request) -> Answer:
        """Raises: OutOfTime, TooCostly, DecoderUnavailable."""
        async with self._places:
            while self._idle:
                with suppress(ConnectionError):  # it died while there was nothing to do
                    return await self._exchange(self._idle.pop(), request)
            try:
                return await self._exchange(await self._start(), request)
            except ConnectionError as error:
                raise DecoderUnavailable("the process ended before it began") from error

    async def close(self) -> None:
        while self._idle:
            await _end(self._idle.pop())

    async def _start(self) -> Process:
        arguments = (str(self._limits.memory_bytes), str(self._limits.cpu.total_seconds()))
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *PROGRAM, *arguments, stdin=PIPE, stdout=PIPE, env={}, cwd="/"
            )
        except OSError as error:
            raise DecoderUnavailable(f"no process can be started: {error.strerror}") from error
        greeting = b""
        try:
            assert process.stdout
            async with asyncio.timeout(START_SECONDS):
                greeting = await process.stdout.readline()
        except TimeoutError as error:
            raise DecoderUnavailable("the process did not start in time") from error
        finally:
            if greeting != READY:
                await _end(process)
        if greeting != READY:
            raise DecoderUnavailable(f"the process ended with exit code {process.returncode}")
        return process

    async def _exchange(self, process: Process, request: Request) -> Answer:
        """Raises: OutOfTime, TooCostly; ConnectionError, where the process had gone before it took the file."""
        assert process.stdin
        assert process.stdout
        answer = None
        try:
            async with asyncio.timeout(self._limits.wall.total_seconds()):
                process.stdin.write(json.dumps(asdict(request)).encode() + b"\n")
                await process.stdin.drain()
                if await process.stdout.readline() != TAKEN:
                    raise ConnectionError("the process is gone")
                if line := await process.stdout.readline():
                    answer = ANSWER.validate_json(line)
                else:
                    # It is dying. Killed on top of that, it would not tell of what.
                    await process.wait()
        except TimeoutError as error:
            raise OutOfTime(f"it takes more than {self._limits.wall} to look into the file") from error
        except ValueError:
            log.warning("decoder_answered_nonsense")
        finally:
            if answer:
                self._idle.append(process)
            else:
                await _end(process)
        if answer is None:
            raise self._cause_of_death(process.returncode)
        return answer

    def _cause_of_death(self, exit_code: int | None) -> TooCostly:
        if exit_code == -signal.SIGPROF:
            return OutOfTime(f"it takes more than {self._limits.cpu.total_seconds():g} s of CPU to look into the file")
        if exit_code == OUT_OF_MEMORY:
            return TooCostly(f"it takes more than {self._limits.memory_bytes >> 20} MiB to look into the file")
        return TooCostly(f"the file ended the process that looked into it: {_described(exit_code)}")


def _bad_media(answer: Answer) -> BadMedia:
    return BadMedia(answer.bad_media or "the file cannot be read as media")


def _request(path: Path, *, poster: Path | None = None, check_end: bool = False, sheet: Path | None = None) -> Request:
    def absolute(written: Path | None) -> str | None:
        return str(written.absolute()) if written else None

    return Request(path=str(path.absolute()), poster=absolute(poster), check_end=check_end, sheet=absolute(sheet))


def _check_of_credentials(path: Path, trust_anchors: str | None) -> Request:
    return Request(path=str(path.absolute()), credentials_alone=True, trust_anchors=trust_anchors)


def _described(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        with suppress(ValueError):
            return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
