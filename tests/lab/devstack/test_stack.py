"""The whole stack, as its users run it."""

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from lab.devstack.ports import free_ports
from reelay.cli.data_dir import DataDir, ProcessId
from tests.eventually import PATIENCE, eventually
from tests.lab.devstack.commands import ENVIRONMENT, REELAY, reelay

PARTS = ("api", "temporal", "ui", "simulator")
LONG = ("a folder with a long name and spaces in it",) * 6


@dataclass
class Dev:
    """`reelay dev` and what it prints."""

    process: Process
    data_dir: DataDir
    api_url: str

    async def line(self, beginning: str) -> str:
        """The next line that begins so."""
        assert self.process.stdout is not None
        seen = []
        async with asyncio.timeout(PATIENCE):
            while raw := await self.process.stdout.readline():
                seen.append(raw.decode())
                if seen[-1].startswith(beginning):
                    return seen[-1]
        raise AssertionError(f"no line begins with {beginning!r}:\n{''.join(seen)}")

    def family(self) -> list[ProcessId]:
        """Every process that it has started."""
        return [ProcessId.from_pid(child.pid) for child in psutil.Process(self.process.pid).children(recursive=True)]

    def part(self, name: str) -> int:
        return self.data_dir.find_stack().parts[name].pid

    async def ask(self, *words: str) -> Any:
        """What a command on the same data dir prints as JSON; of one that watches, the last line."""
        code, output = await reelay(*words, "--json", "--data-dir", str(self.data_dir.path))
        assert code == 0, output
        return json.loads(output.splitlines()[-1] if words[0] in ("generate", "watch") else output)


@asynccontextmanager
async def starting(
    folder: Path, ports: Sequence[int] | None = None, *more: str, environment: dict[str, str] = ENVIRONMENT
) -> AsyncIterator[Dev]:
    chosen = ports or free_ports(len(PARTS))
    options = [word for name, port in zip(PARTS, chosen, strict=True) for word in (f"--{name}-port", str(port))]
    process = await asyncio.create_subprocess_exec(
        *REELAY, "dev", "--data-dir", str(folder), *options, *more, env=environment, stdout=PIPE, stderr=STDOUT
    )
    try:
        yield Dev(process, DataDir(folder), f"http://127.0.0.1:{chosen[0]}")
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@asynccontextmanager
async def dev(folder: Path, ports: Sequence[int] | None = None) -> AsyncIterator[Dev]:
    async with starting(folder, ports) as running:
        await running.line("ready")
        yield running


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that other processes do."""

    async def holds() -> bool:
        return condition()

    await eventually(holds)


async def all_gone(family: Sequence[ProcessId]) -> None:
    await until(lambda: not any(member.find() for member in family))


async def test_a_killed_stack_carries_on_and_leaves_nothing_behind(tmp_path: Path) -> None:
    # A provider does not move while a job runs, so the simulator keeps its port.
    folder, ports = tmp_path.joinpath(*LONG), free_ports(len(PARTS))
    async with dev(folder, ports) as first:
        finished = await first.ask("generate", "a lighthouse")
        unfinished = await first.ask("generate", "a storm [sim: latency=3s]", "--no-watch")
        family = first.family()
        first.process.kill()
        await first.process.wait()
        await all_gone(family)
    async with dev(folder, ports) as second:
        assert (await second.ask("status", finished["id"]))["status"] == "completed"
        assert (await second.ask("watch", unfinished["jobId"]))["status"] == "completed"
        assert len(await second.ask("jobs")) == 2
        assert {finding["state"] for finding in await second.ask("doctor")} <= {"ok", "off"}
        code, output = await reelay("dev", "--data-dir", str(folder))
        assert (code, "is in use by another stack" in output) == (1, True)
        await parts_are_restarted(second)
        await stop_leaves_nothing_behind(second)


async def parts_are_restarted(running: Dev) -> None:
    for part in ("worker", "api", "postgres", "temporal", "simulator"):
        os.kill(running.part(part), signal.SIGKILL)
        await running.line(f"{part} died (killed by SIGKILL)")
        await running.line(f"{part} runs again")
    assert (await running.ask("generate", "a lighthouse after the storm"))["status"] == "completed"


async def stop_leaves_nothing_behind(running: Dev) -> None:
    family = running.family()
    running.process.send_signal(signal.SIGINT)
    assert await running.process.wait() == 0
    await all_gone(family)
    assert not running.data_dir.state_file.exists()


async def test_a_stop_during_the_start_leaves_nothing_behind(tmp_path: Path) -> None:
    async with starting(tmp_path) as begun:
        await until(begun.data_dir.state_file.exists)  # the first parts run, the others are starting
        family = begun.family()
        begun.process.terminate()
        await begun.process.communicate()
        assert begun.process.returncode == 0
        await all_gone(family)


async def test_without_the_simulator_any_provider_will_do_and_the_worker_is_watched_where_its_user_says(
    tmp_path: Path,
) -> None:
    nobody, port = free_ports(2)
    environment = {
        **ENVIRONMENT,
        "REPLICATE_API_TOKEN": "r8_of_nobody",
        "REPLICATE_API_BASE": f"http://127.0.0.1:{nobody}",
        "WORKER_HEALTH_PORT": str(port),
    }
    async with starting(tmp_path, None, "--no-simulator", environment=environment) as running:
        ready = await running.line("ready")
        assert f"worker-metrics http://127.0.0.1:{port}/metrics" in ready
        assert "simulator" not in ready
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
            watched = await client.get(f"http://127.0.0.1:{port}/readyz")
        assert watched.status_code == 200, watched.text


async def test_the_demo_keeps_its_promises(tmp_path: Path) -> None:
    code, output = await reelay("demo", "--data-dir", str(tmp_path))
    assert code == 0, output
    assert "provider POSTs: 1" in output


async def test_the_demo_of_a_clip_buys_four_steps_and_after_an_edit_one(tmp_path: Path) -> None:
    code, output = await reelay("demo", "--clip", "--data-dir", str(tmp_path))
    assert code == 0, output
    assert [line for line in output.splitlines() if line.startswith("POSTs:")] == ["POSTs: 4", "POSTs: 1"]


@pytest.mark.parametrize(
    ("words", "exit_code", "reason"),
    [
        (("dev", "--no-simulator"), 1, "set FAL_KEY"),
        (("keys", "list"), 3, "no stack runs on"),
        (("jobs",), 3, "no stack runs on"),
    ],
)
async def test_a_command_that_cannot_work_says_why(
    tmp_path: Path, words: tuple[str, ...], exit_code: int, reason: str
) -> None:
    # Those that `dev` uses by itself may be somebody else's.
    ports = [f"--{name}-port={port}" for name, port in zip(PARTS, free_ports(len(PARTS)), strict=True)]
    code, output = await reelay(*words, *(ports if "dev" in words else ()), "--data-dir", str(tmp_path))
    assert code == exit_code
    assert reason in output
    assert "Traceback" not in output


async def test_in_production_dev_refuses_to_start_and_says_why(tmp_path: Path) -> None:
    environment = {**ENVIRONMENT, "ENVIRONMENT": "production"}
    code, output = await reelay("dev", "--data-dir", str(tmp_path / "data"), environment=environment)
    assert code == 1
    assert "ENVIRONMENT is production" in output
    assert "Traceback" not in output
    assert not (tmp_path / "data").exists()
