"""Fixtures for all rings."""

import gc
import os
import ssl
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from shutil import copy
from typing import Any

import httpx
import pytest
import structlog
from google.protobuf.json_format import MessageToDict
from hypothesis import settings as hypothesis_settings
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from lab.devstack.temporal import EmbeddedTemporal
from tests.memory import folder_in_memory
from tests.running import Service, running_service
from tests.servers import Postgres, Servers, postgres_server, simulator_server, temporal_server
from tests.unit_rule import pytest_collection_finish
from workflows.client import connect

__all__ = ["pytest_collection_finish"]

log = structlog.get_logger()

# No property is decided by the time that an example takes.
hypothesis_settings.register_profile(
    "reelay", deadline=None, max_examples=int(os.environ.get("PROPERTY_EXAMPLES", "30"))
)
hypothesis_settings.load_profile("reelay")

# On standard error, as the processes log: a command that a test runs in this process has its standard output for
# itself, whatever a shared service logs meanwhile.
structlog.configure(
    # The renderer of structlog's own draws each frame with its variables: seconds of CPU for one outage.
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ],
    logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto` two for each core: tests of real servers wait for more than half of their time. For `-n logical`
    one: unit tests do not wait."""
    cores = os.cpu_count() or 1
    return cores if config.option.numprocesses == "logical" else 2 * cores


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """What was imported and collected stays for good: nobody looks into it for garbage again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def read_authorities_once() -> Iterator[None]:
    """Also by clients that are given no context: each of them takes 40 ms of CPU to read the authorities' certificates,
    and most of them talk to this machine without TLS."""

    @cache
    def context(verify: Any, cert: Any, trust_env: bool, *_: str | None) -> ssl.SSLContext:
        return httpx.create_ssl_context(verify=verify, cert=cert, trust_env=trust_env)

    def create_ssl_context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        return context(verify, cert, trust_env, *(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", create_ssl_context)
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of the servers. Their logs alone stay."""
    logs = tmp_path_factory.mktemp("servers")
    with folder_in_memory(logs) as folder:
        yield folder
        for log in folder.glob("*.log"):
            copy(log, logs)


@pytest.fixture(scope="session")
async def postgres(folder: Path) -> AsyncIterator[Postgres]:
    async with postgres_server(folder) as server:
        yield server


@pytest.fixture(scope="session")
async def temporal(folder: Path) -> AsyncIterator[EmbeddedTemporal]:
    async with temporal_server(folder) as server:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TEMPORAL_ADDRESS", server.address)
            yield server


@pytest.fixture(scope="session")
async def servers(folder: Path, postgres: Postgres, temporal: EmbeddedTemporal) -> AsyncIterator[Servers]:
    async with simulator_server(folder) as origin:
        yield Servers(postgres=postgres, temporal=temporal, simulator=origin, folder=folder)


@pytest.fixture(scope="session")
async def shared_service(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, webhook_patience=0.5) as running:
        yield running


@pytest.fixture
async def service(shared_service: Service, request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    """The service that most tests share, to a user of the test's own.

    It is called back, and polls after half a second without a call.
    """
    async with shared_service.for_user(request.node.name) as mine:
        yield mine


@pytest.fixture(scope="session")
async def shared_patient_service(servers: Servers) -> AsyncIterator[Service]:
    async with running_service(servers, webhook_patience=3600) as running:
        yield running


@pytest.fixture
async def patient_service(shared_patient_service: Service, request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    """A service that waits for the webhook for as long as a test lasts: what it completes, it was told.

    To a user of the test's own.
    """
    async with shared_patient_service.for_user(request.node.name) as mine:
        yield mine


FAILED = pytest.StashKey[bool]()
CLIENT = pytest.StashKey[Client]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(autouse=True)
async def no_run_outlives_its_test(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Jobs that a test left open would be polled several times a second until the session ends. Where the test failed,
    its output says what they wait for.

    Those of fixtures with a wider scope stay: they were there before.
    """
    began = datetime.now(UTC).isoformat()
    yield
    if "temporal" in request.fixturenames:
        stash = request.session.stash
        client = stash[CLIENT] = stash.get(CLIENT, None) or await connect()  # to connect costs more than to ask
        left_open = f"WorkflowType = 'Generation' and ExecutionStatus = 'Running' and StartTime > '{began}'"
        async for run in client.list_workflows(left_open):
            handle = client.get_workflow_handle(run.id)
            with suppress(RPCError):  # it has ended meanwhile
                if request.node.stash[FAILED]:
                    described = (await handle.describe()).raw_description
                    log.warning(
                        "run_left_open",
                        run=run.id,
                        history_length=described.workflow_execution_info.history_length,
                        task=MessageToDict(described.pending_workflow_task),
                        activities=[MessageToDict(each) for each in described.pending_activities],
                        pollers=await _pollers(client, run.task_queue),
                    )
                await handle.terminate("the test is over")


@pytest.fixture(autouse=True)
async def no_database_outlives_its_test(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """They would fill the memory. Those of fixtures with a wider scope stay."""
    if "postgres" not in request.fixturenames:
        yield
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    before = {*postgres.copies}
    yield
    for name in postgres.copies - before:
        await postgres.drop(name)


async def _pollers(client: Client, task_queue: str) -> list[dict[str, Any]]:
    """Who asks for workflow tasks of the queue."""
    described = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(namespace=client.namespace, task_queue=TaskQueue(name=task_queue))
    )
    return [MessageToDict(poller) for poller in described.pollers]
