"""The embedded stack: real Postgres, real Temporal, the simulator, the worker and the API, on one data dir."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx

from lab.devstack.cancellation import run_until
from lab.devstack.environment import (
    WORKER_HEALTH_PORT,
    part_environment,
    require_provider,
    simulated_provider,
)
from lab.devstack.ports import HOST, holder, is_free
from lab.devstack.postgres import EmbeddedPostgres
from lab.devstack.processes import Answers, Program
from lab.devstack.supervision import Supervisor
from lab.devstack.temporal import EmbeddedTemporal, answers_ok
from reelay.cli.data_dir import DataDir, ProcessId, RunningStack, process_ids
from reelay.cli.errors import PortTaken
from reelay.cli.secrets import Secrets, keep_secrets
from reelay.db.migrate import migrate
from reelay.tls import tls_context
from workflows.search_attributes import SEARCH_ATTRIBUTES
from workflows.task_queues import transfers_queue, webhooks_queue

TASK_QUEUE = "generations"
# The worker gives a submission that is under way 30 s to come back.
WORKER_STOP_TIMEOUT = timedelta(seconds=35)
Work = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, kw_only=True)
class Ports:
    api: int
    temporal: int
    ui: int
    simulator: int | None
    """None: no simulator, the real providers."""
    postgres: int
    worker_metrics: int | None = None
    """None: the worker serves no metrics."""

    def check_free(self) -> None:
        """Raises: PortTaken."""
        given: dict[int, str] = {}
        chosen = {part: f"--{part}-port" for part in ("api", "temporal", "ui", "simulator")}
        for part, by in {**chosen, "worker_metrics": WORKER_HEALTH_PORT}.items():
            if (port := getattr(self, part)) is None:
                continue
            if port in given:
                raise PortTaken(f"port {port} is asked for twice: by {given[port]} and {by}")
            if not is_free(port):
                raise PortTaken(f"port {port}, wanted by {part}, is taken by {holder(port)}: choose another with {by}")
            given[port] = by


class Stack:
    """To be made and run inside `DataDir.held`."""

    def __init__(
        self,
        data_dir: DataDir,
        ports: Ports,
        *,
        user: Mapping[str, str],
        overrides: Mapping[str, str],
        say: Callable[[str], None],
    ) -> None:
        """`user` is the user's environment, `overrides` wins over it. `say` shows a line to the user."""
        self.data_dir = data_dir
        self._say = say
        self._ports = ports
        secrets = keep_secrets(data_dir.secrets_file)
        self._postgres = EmbeddedPostgres(folder=data_dir.path / "postgres", port=ports.postgres, secrets=secrets)
        self.temporal = EmbeddedTemporal(
            database_file=data_dir.path / "temporal.db",
            port=ports.temporal,
            ui_port=ports.ui,
            search_attributes=SEARCH_ATTRIBUTES,
        )
        self.api_url = f"http://{HOST}:{ports.api}"
        self.simulator_url = f"http://{HOST}:{ports.simulator}" if ports.simulator else None
        metrics = ports.worker_metrics
        self.worker_metrics_url = f"http://{HOST}:{metrics}/metrics" if metrics else None
        self._environment = self._compose_environment(user, overrides, secrets)
        self._supervisor = Supervisor(self._programs(), say=say, changed=self._write_state)

    async def run(self, work: Work) -> None:
        """Start the stack, do the work once all of it answers, and stop it when the work is done.

        SIGINT, SIGTERM and SIGHUP give the work up and stop the stack, a second one kills it.
        Raises: NeverReady, and what the work raises.
        """
        stop = asyncio.Event()

        def react() -> None:
            if stop.is_set():
                self._supervisor.kill()
            else:
                stop.set()
                self._say("stopping; once more to stop at once")

        with _signals(react):
            try:
                await self._supervisor.run(self._until(stop, work))
            finally:
                self.data_dir.state_file.unlink(missing_ok=True)

    def ready_line(self, page_key: str | None = None) -> str:
        """`page_key`: the API key that a link to the page brings along. Browsers do not send what is behind the #."""
        urls = {
            "api": self.api_url,
            "docs": f"{self.api_url}/docs",
            "temporal": self.temporal.ui_url,
            "simulator": self.simulator_url,
            "operators": f"{self.api_url}/admin",
            "worker-metrics": self.worker_metrics_url,
            "page": f"{self.api_url}/" + (f"#key={page_key}" if page_key else ""),
        }
        return "  ".join(("ready", *(f"{name} {url}" for name, url in urls.items() if url)))

    def _compose_environment(
        self, user: Mapping[str, str], overrides: Mapping[str, str], secrets: Secrets
    ) -> dict[str, str]:
        ours = {
            "ENVIRONMENT": "development",
            "DATABASE_URL": self._postgres.app_url,
            "DATABASE_SERVICE_URL": self._postgres.service_url,
            "DATABASE_ADMIN_URL": self._postgres.admin_url,
            "TEMPORAL_ADDRESS": self.temporal.address,
            "TEMPORAL_UI_URL": self.temporal.ui_url,
            "REELAY_TASK_QUEUE": TASK_QUEUE,
            "REELAY_DATA_DIR": str(self.data_dir.path),
            "PYTHONUNBUFFERED": "1",
        }
        if self._ports.worker_metrics:
            ours |= {"WORKER_HEALTH_HOST": HOST, WORKER_HEALTH_PORT: str(self._ports.worker_metrics)}
        defaults = {
            "FAL_WEBHOOK_SECRET": secrets.webhook_secret,
            "OUTGOING_WEBHOOK_SECRET": secrets.webhook_secret,
            "API_KEY_PEPPER": secrets.api_key_pepper,
        }
        if self.simulator_url:
            ours |= simulated_provider(self.simulator_url)
            defaults |= {"APP_URL": user.get("NEXT_PUBLIC_APP_URL", self.api_url)}
        else:
            require_provider(user)
        return part_environment(user, ours={**ours, **overrides}, defaults=defaults)

    async def _until(self, stop: asyncio.Event, work: Work) -> None:
        await run_until(stop.wait(), self._when_ready(work))

    async def _when_ready(self, work: Work) -> None:
        await self._supervisor.all_answer()
        await work()

    def _programs(self) -> list[Program]:
        postgres = self._postgres.program(self.data_dir.log_file("postgres"))
        programs = [
            replace(postgres, complete=self._complete_postgres),
            self.temporal.program(self.data_dir.log_file("temporal")),
        ]
        if self.simulator_url:
            answers = _ok(f"{self.simulator_url}/__sim/stats")
            programs.append(self._part("simulator", ("--port", str(self._ports.simulator)), answers))
        ground = ("postgres", "temporal")
        worker = self._part("worker", (), self._worker_polls)
        api = self._part("api", ("--port", str(self._ports.api)), _ok(f"{self.api_url}/readyz"))
        programs.append(replace(worker, needs=ground, stop_timeout=WORKER_STOP_TIMEOUT))
        programs.append(replace(api, needs=ground))
        return programs

    def _part(self, name: str, arguments: tuple[str, ...], answers: Answers) -> Program:
        """One of our own commands, as its own process. -P: a folder `reelay` in the working directory is not ours."""
        return Program(
            name=name,
            command=(sys.executable, "-P", "-m", "reelay.cli.main", name, *arguments),
            environment=self._environment,
            log_file=self.data_dir.log_file(name),
            answers=answers,
        )

    async def _complete_postgres(self) -> None:
        await self._postgres.make_roles()
        await migrate(self._postgres.admin_url, self._postgres.app_url, self._postgres.service_url)

    async def _worker_polls(self, pid: int) -> bool:
        """Whether this very process takes the work of all queues; its predecessors stay listed for minutes."""
        of_activities = (transfers_queue(TASK_QUEUE), webhooks_queue(TASK_QUEUE))
        return await self._polls(pid, TASK_QUEUE, "TASK_QUEUE_TYPE_WORKFLOW") and all(
            [await self._polls(pid, queue, "TASK_QUEUE_TYPE_ACTIVITY") for queue in of_activities]
        )

    async def _polls(self, pid: int, task_queue: str, kind: str) -> bool:
        url = f"{self.temporal.ui_url}/api/v1/namespaces/default/task-queues/{task_queue}"
        async with httpx.AsyncClient(timeout=2, trust_env=False, verify=tls_context()) as client:
            try:
                answer = await client.get(url, params={"taskQueueType": kind})
            except httpx.TransportError:
                return False
        pollers = answer.json().get("pollers", []) if answer.is_success else []
        return any(poller["identity"].startswith(f"{pid}@") for poller in pollers)

    def _write_state(self) -> None:
        state = RunningStack(
            supervisor=ProcessId.from_pid(os.getpid()),
            parts=process_ids(self._supervisor.pids),
            api_url=self.api_url,
            temporal_address=self.temporal.address,
            temporal_ui_url=self.temporal.ui_url,
            simulator_url=self.simulator_url,
            simulated=simulated_provider(self.simulator_url) if self.simulator_url else {},
            database_url=self._postgres.app_url,
            database_service_url=self._postgres.service_url,
            database_admin_url=self._postgres.admin_url,
        )
        self.data_dir.write_state(state)


def _ok(url: str) -> Answers:
    async def answers(pid: int, /) -> bool:
        return await answers_ok(url)

    return answers


@contextmanager
def _signals(react: Callable[[], None]) -> Iterator[None]:
    """React to what asks a process to stop, while the block runs."""
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # it is ignored under nohup
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, react)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
