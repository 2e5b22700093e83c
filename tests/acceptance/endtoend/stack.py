"""`reelay dev` as a user runs it: its own processes, its own ports, a data dir of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from lab.devstack.ports import free_ports
from reelay.domain.generation import FINAL
from tests.eventually import PATIENCE, eventually

Job = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class RunningStack:
    process: asyncio.subprocess.Process
    data_dir: Path
    simulator_url: str
    client: httpx.AsyncClient

    def pid_of(self, part: str) -> int:
        state = json.loads((self.data_dir / "stack.json").read_text())
        return int(state["parts"][part]["pid"])

    async def kill(self, part: str) -> None:
        """kill -9, and wait until the part has a new life."""
        killed = self.pid_of(part)
        os.kill(killed, signal.SIGKILL)
        await self.is_replaced(part, killed)

    async def is_replaced(self, part: str, pid: int) -> None:
        """Returns once the part has a new process."""

        async def has_new_pid() -> bool:
            return self.pid_of(part) != pid

        await eventually(has_new_pid)

    async def create(self, prompt: str) -> str:
        body = {"prompt": prompt, "quality": "fast"}
        response = await self.client.post("/api/generate/video", json=body)
        assert response.status_code == 202, response.text
        return str(response.json()["jobId"])

    async def until(self, job_id: str, *wanted: str) -> Job:
        """The job once its status or stage is one of those; the API may be away meanwhile."""

        async def seen() -> Job:
            job = await self.look(job_id)
            assert job, "no answer"
            assert {job["status"], job["stage"]} & {*wanted, *FINAL}, job
            return job

        job = await eventually(seen)
        assert {job["status"], job["stage"]} & set(wanted), job
        return job

    async def look(self, job_id: str) -> Job | None:
        try:
            response = await self.client.get(f"/api/jobs/{job_id}")
        except httpx.TransportError:
            return None
        job: Job = response.json()
        return job if response.status_code == 200 else None

    async def end_at_provider(self, job_id: str) -> None:
        (request_id,) = (await self.simulated(job_id))["requests"]
        async with httpx.AsyncClient(base_url=self.simulator_url, timeout=PATIENCE) as client:
            (await client.post(f"/__sim/requests/{request_id}/end")).raise_for_status()

    async def simulated(self, job_id: str) -> dict[str, Any]:
        async with httpx.AsyncClient(base_url=self.simulator_url, timeout=PATIENCE) as client:
            counted: dict[str, Any] = (await client.get("/__sim/stats")).json()["jobs"][job_id]
            return counted


@asynccontextmanager
async def running_stack(data_dir: Path) -> AsyncIterator[RunningStack]:
    """A stack that is ready. It is told to stop at the end, and has to leave nothing behind."""
    api, temporal, ui, simulator = free_ports(4)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reelay.cli.main", "dev", "--data-dir", str(data_dir), "--api-port", str(api)),
        *("--temporal-port", str(temporal), "--ui-port", str(ui), "--simulator-port", str(simulator)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await _ready(process)
        listening = asyncio.create_task(_drain(process))
        key = await reelay(data_dir, "keys", "create", "ann")
        await reelay(data_dir, "credits", "add", "ann", "1000000")
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{api}", headers={"authorization": f"Bearer {key}"}, timeout=PATIENCE
        ) as client:
            yield RunningStack(
                process=process, data_dir=data_dir, simulator_url=f"http://127.0.0.1:{simulator}", client=client
            )
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        assert await process.wait() == 0
        await listening
        assert not [child for child in family if child.is_running()]
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        async for line in process.stdout:
            if line.startswith(b"ready"):
                return
    raise AssertionError("the stack ended before it was ready")


async def _drain(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    while await process.stdout.read(65_536):
        pass


async def reelay(data_dir: Path, *command: str) -> str:
    """What the command prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reelay.cli.main", *command, "--data-dir", str(data_dir)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().strip()
