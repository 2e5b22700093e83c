"""One child process over all its lives: started, asked whether it answers, stopped, and its last words kept."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from lab.devstack.cancellation import run_until

LAST_LINES = 15
LOG_LIMIT_BYTES = 10 * 1024**2
PROBE_INTERVAL_SECONDS = 0.05


class Answers(Protocol):
    async def __call__(self, pid: int, /) -> bool:
        """Whether the process with this id does its work. False, not an error, while it does not."""
        ...


async def _no_op() -> None: ...


@dataclass(frozen=True, kw_only=True)
class Program:
    """How to run one part of the stack."""

    name: str
    needs: tuple[str, ...] = ()
    """Names of the programs that must answer before it can start."""
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log_file: Path
    """Where its output goes, appended."""
    answers: Answers
    prepare: Callable[[], Coroutine[Any, Any, None]] = _no_op
    """Before each start."""
    complete: Callable[[], Coroutine[Any, Any, None]] = _no_op
    """Each time it answers again, before the others may use it."""
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends when the supervisor is killed."""
    privileges: tuple[str, ...] = ()
    """Options of setpriv(1), for a program that may not run as root."""
    start_timeout: timedelta = timedelta(seconds=60)
    stop_timeout: timedelta = timedelta(seconds=10)
    """After this it is killed."""
    passing_troubles: tuple[str, ...] = ()
    """Words in its output which say that it could not start yet, but will shortly."""


class ProcessDied(Exception):
    """A child ended although nobody asked it to."""

    def __init__(self, reason: str, last_lines: list[str]) -> None:
        super().__init__("\n".join([reason, *last_lines]))
        self.reason = reason
        self.last_lines = last_lines

    def is_one_of(self, troubles: tuple[str, ...]) -> bool:
        return any(trouble in line for trouble in troubles for line in self.last_lines)


FOR_THE_OWNER_ALONE = 0o077
"""Databases, histories and media of a developer are not for the machine's other users."""


class Child:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.answering = asyncio.Event()
        self.was_ready = False
        """Whether it has answered in any of its lives."""
        self._process: asyncio.subprocess.Process | None = None
        self._output_start = 0

    @property
    def pid(self) -> int | None:
        """None while it is not running."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Returns once it answers. Raises: ProcessDied; in its first life also what completing it raises."""
        await self.program.prepare()
        await self._spawn()
        await self._until_death(self._answer())
        try:
            await self._until_death(self.program.complete())
        except Exception as error:
            if not self.was_ready or isinstance(error, ProcessDied):
                raise
            self.kill()  # it may have been killed again meanwhile
            raise ProcessDied(f"could not be completed: {error!r}", self.last_lines()) from error
        self.was_ready = True
        self.answering.set()

    async def death(self) -> ProcessDied:
        """Waits for the end of this life."""
        assert self._process is not None
        code = await self._process.wait()
        self.answering.clear()
        return ProcessDied(_describe_exit(code), self.last_lines())

    async def stop(self) -> None:
        self.answering.clear()
        if self.pid is None or self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(self.program.stop_signal)
        try:
            async with asyncio.timeout(self.program.stop_timeout.total_seconds()):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def last_lines(self) -> list[str]:
        """The end of what it wrote in this life."""
        with self.program.log_file.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._output_start, size - 16_384))
            return log.read().decode(errors="replace").splitlines()[-LAST_LINES:]

    async def _spawn(self) -> None:
        log = self._open_log()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *launch_prefix(self.program),
                *self.program.command,
                env=self.program.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                umask=FOR_THE_OWNER_ALONE,
                start_new_session=True,  # a terminal's Ctrl-C is for the supervisor alone
            )
        finally:
            os.close(log)

    def _open_log(self) -> int:
        path = self.program.log_file
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._output_start = os.fstat(log).st_size
        return log

    async def _answer(self) -> None:
        limit = self.program.start_timeout.total_seconds()
        try:
            async with asyncio.timeout(limit):
                while not (self.pid and await self.program.answers(self.pid)):  # noqa: ASYNC110 - no event to wait for
                    await asyncio.sleep(PROBE_INTERVAL_SECONDS)
        except TimeoutError:
            self.kill()
            raise ProcessDied(f"did not answer within {limit:.0f} s", self.last_lines()) from None

    async def _until_death(self, work: Coroutine[Any, Any, None]) -> None:
        if death := await run_until(self.death(), work):
            raise death


@asynccontextmanager
async def running(program: Program) -> AsyncIterator[Child]:
    """The program, answering, for as long as the block lasts. Raises: ProcessDied when it does not come up."""
    child = Child(program)
    try:
        await child.start()
        yield child
    finally:
        await child.stop()


def launch_prefix(program: Program) -> tuple[str, ...]:
    """The words before its command which tie its life to ours. None where the system has no such thing (macOS)."""
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    if setpriv is None:
        return ()
    # In one call: a change of user clears a death signal that was set before.
    return (setpriv, *program.privileges, "--pdeathsig", program.death_signal.name.removeprefix("SIG"), "--")


def _describe_exit(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
