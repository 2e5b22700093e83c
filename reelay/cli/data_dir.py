"""A stack's folder: where each part keeps its state, who uses it now, and how the other commands find it."""

import fcntl
import os
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
from pydantic import BaseModel, ValidationError

from reelay.cli.errors import DataDirInUse, NotRunning, StackError
from reelay.cli.secrets import write_private

GONE_WITHIN_SECONDS = 10
SAME_CREATION = 2.0
"""Seconds. The moment of the boot is told in whole ones, and from a clock that is corrected meanwhile."""


class ProcessId(BaseModel):
    """Identifies a process for good: the system reuses a pid, but not with the same creation time."""

    pid: int
    created: float
    """Seconds from the boot on: the clock may be set while it runs."""

    @classmethod
    def from_pid(cls, pid: int) -> Self:
        return cls(pid=pid, created=_created(psutil.Process(pid)))

    def find(self) -> psutil.Process | None:
        """The process, if it lives."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            # A dead process that nobody has waited for is still listed.
            if abs(_created(process) - self.created) < SAME_CREATION and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


def _created(process: psutil.Process) -> float:
    return process.create_time() - psutil.boot_time()


class RunningStack(BaseModel):
    """What `stack.json` says while a stack runs. It holds passwords, so it is readable by its owner alone."""

    supervisor: ProcessId
    parts: dict[str, ProcessId]
    api_url: str
    temporal_address: str
    temporal_ui_url: str
    simulator_url: str | None
    simulated: dict[str, str] = {}
    """The environment that leads the parts to the simulator instead of real providers."""
    database_url: str
    database_service_url: str
    database_admin_url: str


@dataclass(frozen=True)
class DataDir:
    path: Path

    @property
    def state_file(self) -> Path:
        return self.path / "stack.json"

    @property
    def secrets_file(self) -> Path:
        return self.path / "secrets.json"

    @property
    def local_key_file(self) -> Path:
        """The API key of the user `local`, made when a command first needs one."""
        return self.path / "local-key"

    @property
    def archive(self) -> Path:
        return self.path / "archive"

    def log_file(self, part: str) -> Path:
        return self.path / "logs" / f"{part}.log"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder while the block lasts, and end what a killed stack left. Raises: DataDirInUse."""
        self._make()
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(lock, self.path)
            self._end_leftovers()
            yield
        finally:
            os.close(lock)

    def write_state(self, state: RunningStack) -> None:
        write_private(self.state_file, state.model_dump_json(indent=2))

    def find_stack(self) -> RunningStack:
        """The stack that runs on this folder. Raises: NotRunning."""
        state = self._read_state()
        if state is None or state.supervisor.find() is None:
            raise NotRunning(
                f"no stack runs on {self.path}: start one with `reelay dev`, choose another with --data-dir, "
                "or set the environment's URLs"
            )
        return state

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"cannot make the data dir {self.path}: {error.strerror}") from None
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise StackError(f"the data dir {self.path} is not writable for this user: choose another with --data-dir")

    def _read_state(self) -> RunningStack | None:
        """None when there is none, or none of this version."""
        try:
            return RunningStack.model_validate_json(self.state_file.read_text())
        except (FileNotFoundError, ValidationError):
            return None
        except PermissionError:
            raise StackError(f"the data dir {self.path} belongs to another user: choose another --data-dir") from None

    def _end_leftovers(self) -> None:
        """Processes of a supervisor that was killed, where the kernel has not ended them (yet)."""
        state = self._read_state()
        if state is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            _end(state.parts.values(), number)
        self.state_file.unlink()


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataDirInUse(f"{path} is in use by another stack: stop that one, or choose another --data-dir") from None


def _end(parts: Collection[ProcessId], number: signal.Signals) -> None:
    """Send the signal to those that live, and wait a while for their end."""
    for part in parts:
        with suppress(psutil.NoSuchProcess):
            if process := part.find():
                process.send_signal(number)
    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    while any(part.find() for part in parts) and time.monotonic() < deadline:
        time.sleep(0.05)


def process_ids(pids: Mapping[str, int]) -> dict[str, ProcessId]:
    """Those that live."""
    found = {}
    for part, pid in pids.items():
        with suppress(psutil.NoSuchProcess):
            found[part] = ProcessId.from_pid(pid)
    return found
