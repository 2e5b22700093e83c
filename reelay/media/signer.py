"""Writes Content Credentials into files, in a process of its own that takes no more than a file may, and has no key."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

import structlog

from reelay.content_credentials import Signatory
from reelay.media.errors import NotSigned, SignerDied
from reelay.media.signing import LINE, REQUEST, SignerLine, SignerRequest, Statement
from reelay.media.time_stamps import TimeStampAuthority

PROGRAM = ("-I", "-X", "utf8", "-m", "reelay.media.signer_process")
LARGEST_BYTES = 512 * 1024**2
"""Of a file that is signed. The library holds twice as much in memory."""
MEMORY_BYTES = 2 * 1024**3
"""Address space."""
ADDED_BYTES = 16 * 1024**2
"""By which Content Credentials make a file longer, at most: those of its ingredients are in them."""
LONGEST_LINE = 1024**2
"""What is signed names every ingredient."""
SILENT_SECONDS = 120

log = structlog.get_logger()


class Signer:
    """Signs one file at a time, since each takes so much memory."""

    def __init__(self, signatory: Signatory, time_stamps: TimeStampAuthority | None = None) -> None:
        """`time_stamps`: who says when it was signed; None: nobody."""
        self._signatory = signatory
        self._time_stamps = time_stamps
        self._one_at_a_time = asyncio.Lock()

    async def sign(self, statement: Statement) -> None:
        """Write the file with what is said of it. Cancelled, it kills the process.

        An ingredient that kills the process, or that the library refuses, is named and not opened. Raises: NotSigned.
        """
        try:
            await self._sign(statement)
        except NotSigned as error:
            log.error("signing_failed", reason=str(error))
            raise NotSigned("the file could not be signed") from error

    async def _sign(self, statement: Statement) -> None:
        if self._signatory.expires < datetime.now(UTC):
            raise NotSigned("the certificate has expired")
        request = SignerRequest(
            statement=statement,
            program_version=version("reelay"),
            chain=self._signatory.chain,
            algorithm=self._signatory.algorithm,
            has_time_stamp=self._time_stamps is not None,
        )
        async with self._one_at_a_time:
            try:
                await self._write(request)
            except SignerDied as error:
                if not statement.ingredients:
                    raise
                log.warning("ingredients_not_read", reason=str(error))
                await self._write(replace(request, reads_ingredients=False))

    async def _write(self, request: SignerRequest) -> None:
        """Raises: NotSigned (SignerDied)."""
        size = await asyncio.to_thread(os.path.getsize, request.statement.path)
        arguments = (str(MEMORY_BYTES), str(size + ADDED_BYTES))
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *PROGRAM, *arguments, stdin=PIPE, stdout=PIPE, env={}, cwd="/", limit=LONGEST_LINE
            )
        except OSError as error:
            raise NotSigned(f"no process can be started: {error.strerror}") from error
        try:
            line = await self._last_line(process, request)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            exit_code = await process.wait()
        if line is None:
            raise SignerDied(f"the process that signs ended with exit code {exit_code}")
        if not line.is_signed:
            raise NotSigned(f"the library does not sign it: {line.refusal}")

    async def _last_line(self, process: Process, request: SignerRequest) -> SignerLine | None:
        """Gives the signature and the time stamp that the process asks for; None when it died."""
        assert process.stdout
        await _tell(process, REQUEST.dump_json(request))
        while True:
            try:
                async with asyncio.timeout(SILENT_SECONDS):
                    text = await process.stdout.readline()
            except TimeoutError as error:
                raise NotSigned(f"it was not signed within {SILENT_SECONDS} s") from error
            if not text:
                await process.wait()
                return None
            line = LINE.validate_json(text)
            if line.to_sign is not None:
                given = await asyncio.to_thread(self._signatory.sign, b64decode(line.to_sign))
            elif line.to_stamp is not None and self._time_stamps:
                given = await self._time_stamps.answer_to(b64decode(line.to_stamp))
            else:
                return line
            await _tell(process, b64encode(given))


async def _tell(process: Process, line: bytes) -> None:
    assert process.stdin
    with suppress(ConnectionError):  # it is dying; its exit code tells why
        process.stdin.write(line + b"\n")
        await process.stdin.drain()
