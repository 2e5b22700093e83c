"""What is configured, what answers, and what to do about the rest. Every check is free of charge; no value is shown."""

import asyncio
import platform
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
from pydantic import SecretStr, ValidationError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue as TaskQueueName
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, GetSystemInfoRequest
from temporalio.client import Client
from temporalio.service import RPCError

from reelay.catalog.loader import load_catalog
from reelay.cli.data_dir import DataDir
from reelay.cli.environment import user_environment
from reelay.cli.errors import NotRunning
from reelay.db.address import PostgresAddress, UnusableAddress
from reelay.db.engine import POSTGRES_UNAVAILABLE, keeps_sessions, make_engine, make_sessions
from reelay.db.schema_check import (
    app_role_trouble,
    known_revisions,
    revision_of,
    revision_trouble,
    service_role_trouble,
)
from reelay.drift import find_drift
from reelay.media.errors import MediaError
from reelay.media.storage import open_storage
from reelay.outbound import open_client
from reelay.providers.errors import ProviderError
from reelay.providers.registry import open_platform
from reelay.settings import Environment, Settings, complaints
from reelay.temporal_config import UnusableConnection, connection_config, connection_trouble
from workflows.search_attributes import search_attribute_trouble
from workflows.task_queues import TaskQueue, transfers_queue, webhooks_queue

PATIENCE_SECONDS = 5.0
POSTGRES_ADVICE = "see DATABASE_URL and DATABASE_SERVICE_URL"


class State(StrEnum):
    OK = "ok"
    OFF = "off"
    """Not configured, and not needed."""
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    part: str
    state: State
    found: str
    advice: str = ""
    """What to do when it is wrong."""


@dataclass(frozen=True)
class Context:
    settings: Settings
    api_url: str | None
    temporal_address: str | None
    """None: as `TEMPORAL_*` say."""


async def examine(data_dir: DataDir) -> list[dict[str, Any]]:
    findings = [versions()]
    try:
        context = context_of(data_dir)
    except NotRunning as error:
        findings.append(Finding("configuration", State.WRONG, str(error), "start the stack, or set the URLs"))
    except ValidationError as error:
        wrong = "; ".join(complaints(error))
        findings.append(Finding("configuration", State.WRONG, wrong, "correct these variables, see .env.example"))
    else:
        if wrong := "; ".join(context.settings.unusable_addresses()):
            findings.append(
                Finding("configuration", State.WRONG, wrong, "correct these variables, see docs/postgres.md")
            )
        else:
            findings += [configuration(context.settings), *await check_all(context)]
    return [asdict(finding) for finding in findings]


def context_of(data_dir: DataDir) -> Context:
    """By the environment's URLs, else of the running stack. Raises: NotRunning, ValidationError."""
    environment = user_environment()
    if {"DATABASE_SERVICE_URL", "DATABASE_ADMIN_URL"} & environment.keys():
        return Context(Settings(), environment.get("REELAY_API_URL"), None)
    stack = data_dir.find_stack()
    values: dict[str, Any] = {
        "environment": Environment.DEVELOPMENT,
        "data_dir": data_dir.path,
        "database_url": stack.database_url,
        "database_service_url": stack.database_service_url,
        "webhook_token_secret": "the stack's own",
    }
    if stack.simulator_url:
        values |= {name.lower(): value for name, value in stack.simulated.items() if name != "FAL_KEY_NEW"}
        values |= {"app_url": environment.get("APP_URL", stack.api_url)}
    return Context(Settings(**values), stack.api_url, stack.temporal_address)


def versions() -> Finding:
    packages = ", ".join(f"{name} {version(name)}" for name in ("reelay", "temporalio", "fastapi", "sqlalchemy"))
    return Finding("versions", State.OK, f"{packages}, Python {platform.python_version()}, {platform.system()}")


def configuration(settings: Settings) -> Finding:
    """What is set, by name alone."""
    variables = {
        "FAL_KEY": settings.fal_key,
        "FAL_KEY_NEW": settings.fal_key_new,
        "FAL_WEBHOOK_SECRET": settings.webhook_token_secret,
        "APP_URL": settings.app_url,
        "ARCHIVE_URL": settings.archive_url,
        "HTTPS_PROXY": settings.https_proxy,
    }
    described = ", ".join(f"{name} {'set' if value else 'not set'}" for name, value in variables.items())
    return Finding("configuration", State.OK, f"{settings.environment}: {described}")


async def check_all(context: Context) -> Sequence[Finding]:
    settings = context.settings
    async with open_client(settings) as client:  # as the processes do
        client.timeout = PATIENCE_SECONDS
        checks: list[Awaitable[Finding]] = [
            check_api(client, context.api_url),
            check_temporal(context.temporal_address, search_attributes=settings.search_attributes),
            check_workers(context.temporal_address, settings.task_queue),
            check_postgres(settings),
            check_notifications(settings),
            check_archive(settings),
            check_key(client, "FAL_KEY", settings.fal_key, settings),
            check_key(client, "FAL_KEY_NEW", settings.fal_key_new, settings),
            check_webhook_address(client, settings),
            check_catalog(settings),
        ]
        return await asyncio.gather(*checks)


async def check_api(client: httpx.AsyncClient, url: str | None) -> Finding:
    if not url:
        return Finding("API", State.OFF, "REELAY_API_URL is not set: not looked for")
    try:
        answer = await client.get(f"{url}/readyz")
        parts = answer.json().get("parts", {})
    except (httpx.HTTPError, ValueError) as error:
        return Finding("API", State.WRONG, f"{url} does not answer ({type(error).__name__})", "start `reelay api`")
    if answer.is_success:
        return Finding("API", State.OK, f"{url} is ready")
    broken = ", ".join(f"{part} {word}" for part, word in parts.items() if word != "ok")
    return Finding("API", State.WRONG, f"{url} is not ready: {broken}", "see the parts below")


async def check_temporal(address: str | None, *, search_attributes: bool) -> Finding:
    try:
        config = connection_config(address)
    except UnusableConnection as error:
        return Finding("Temporal", State.WRONG, str(error), "correct the variable")
    where = config.get("target_host")
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            client = await Client.connect(**config)
            info = await client.workflow_service.get_system_info(
                GetSystemInfoRequest(), timeout=timedelta(seconds=PATIENCE_SECONDS)
            )
            trouble = await search_attribute_trouble(client) if search_attributes else None
    except (RPCError, RuntimeError, TimeoutError) as error:
        found, advice = connection_trouble(error)
        return Finding("Temporal", State.WRONG, f"{where} {found}", advice)
    if trouble:
        advice = "where you may not create any, set TEMPORAL_SEARCH_ATTRIBUTES=off"
        return Finding("Temporal", State.WRONG, f"{where}, namespace {client.namespace} {trouble}", advice)
    return Finding("Temporal", State.OK, f"{where}, server {info.server_version}, namespace {client.namespace}")


async def check_workers(address: str | None, task_queue: str) -> Finding:
    """Whether somebody takes the tasks of all queues."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            client = await Client.connect(**connection_config(address))
            generations, transfers, webhooks = await asyncio.gather(
                pollers(client, task_queue, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW),
                pollers(client, transfers_queue(task_queue), TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
                pollers(client, webhooks_queue(task_queue), TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY),
            )
    except (UnusableConnection, RPCError, RuntimeError, OSError):
        return Finding("workers", State.OFF, "not looked for: Temporal does not answer")
    taken = {TaskQueue.GENERATIONS: generations, TaskQueue.TRANSFERS: transfers, TaskQueue.WEBHOOKS: webhooks}
    if idle := [queue for queue, count in taken.items() if not count]:
        found = f"nobody takes {', '.join(idle)} of {task_queue}"
        return Finding("workers", State.WRONG, found, f"start `reelay worker --queues {','.join(idle)}`")
    return Finding("workers", State.OK, ", ".join(f"{queue}: {count}" for queue, count in taken.items()))


async def pollers(client: Client, task_queue: str, kind: TaskQueueType.ValueType) -> int:
    """How many workers asked for its tasks within the last minutes."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueueName(name=task_queue), task_queue_type=kind
    )
    return len((await client.workflow_service.describe_task_queue(request)).pollers)


async def check_postgres(settings: Settings) -> Finding:
    try:
        async with (
            asyncio.timeout(PATIENCE_SECONDS),
            opened(settings.database_url.get_secret_value()) as session,
            opened(settings.service_url) as service_session,
        ):
            server = await service_session.scalar(text("show server_version"))
            revision = await revision_of(service_session)
            trouble = revision_trouble(revision, known_revisions())
            trouble = trouble or await app_role_trouble(session) or await service_role_trouble(service_session)
    except POSTGRES_UNAVAILABLE as error:
        return Finding("Postgres", State.WRONG, f"does not answer: {error}", POSTGRES_ADVICE)
    except (SQLAlchemyError, UnusableAddress) as error:
        return Finding("Postgres", State.WRONG, f"refuses the connection ({type(error).__name__})", POSTGRES_ADVICE)
    if trouble:
        return Finding("Postgres", State.WRONG, trouble, "bring the database and this version together")
    ahead = "" if revision == known_revisions()[0] else f", ahead of this version's {known_revisions()[0]}"
    return Finding("Postgres", State.OK, f"server {server}, schema {revision}{ahead}")


async def check_notifications(settings: Settings) -> Finding:
    """Whether event streams hear of changes when they happen."""
    variable = "DATABASE_LISTEN_URL" if settings.database_listen_url else "DATABASE_SERVICE_URL"
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            is_kept = await keeps_sessions(PostgresAddress.parse(settings.listen_url), timeout=PATIENCE_SECONDS)
    except (*POSTGRES_UNAVAILABLE, asyncpg.PostgresError, UnusableAddress) as error:
        found = f"the address of {variable} is not reached ({type(error).__name__})"
        return Finding("notifications", State.WRONG, found, f"see {variable}")
    if not is_kept:
        found = f"{variable} leads to a transaction pooler: changes are read once a second instead"
        return Finding("notifications", State.WRONG, found, "set DATABASE_LISTEN_URL to a direct connection")
    return Finding("notifications", State.OK, "heard as they happen")


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[AsyncSession]:
    engine = make_engine(url, pool_size=1)
    try:
        async with make_sessions(engine)() as session:
            yield session
    finally:
        await engine.dispose()


async def check_archive(settings: Settings) -> Finding:
    where = settings.archive_location.split("?")[0]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            storage = open_storage(
                settings.archive_location,
                scratch=settings.data_dir / "scratch",
                allow_http=settings.archive_allows_http,
            )
            await storage.check()
            size = await storage.head("readiness")
    except (MediaError, TimeoutError) as error:
        return Finding("archive", State.WRONG, f"{where}: {error}", "see ARCHIVE_URL and the bucket's credentials")
    if size is None:
        return Finding("archive", State.WRONG, f"{where}: what was written is not there", "see the bucket's policy")
    return Finding("archive", State.OK, f"{where} can be written and read")


async def check_key(client: httpx.AsyncClient, name: str, key: SecretStr | None, settings: Settings) -> Finding:
    """Asks for a request that does not exist: 404 to a key that is good, 401 or 403 to one that is not."""
    if key is None:
        needed = name == "FAL_KEY" and settings.fal_key_new is None
        return Finding(name, State.WRONG if needed else State.OFF, "not set", "set it" if needed else "")
    in_use = name == "FAL_KEY_NEW" or settings.fal_key_new is None
    use = "in use" if in_use else "not in use while FAL_KEY_NEW is set"
    url = f"{settings.fal_queue_base}/fal-ai/flux/requests/{uuid4()}/status"
    try:
        answer = await client.get(url, headers={"authorization": f"Key {key.get_secret_value()}"})
    except httpx.HTTPError as error:
        found = f"{settings.fal_queue_base} does not answer ({type(error).__name__})"
        return Finding(name, State.WRONG, found, "see the network, and FAL_QUEUE_BASE")
    if answer.status_code in (401, 403):
        return Finding(name, State.WRONG, f"set, {use}, refused (HTTP {answer.status_code})", "make a new key at fal")
    if answer.is_server_error:
        return Finding(name, State.WRONG, f"set, {use}; fal fails (HTTP {answer.status_code})", "try later")
    return Finding(name, State.OK, f"set, {use}, accepted")


async def check_catalog(settings: Settings) -> Finding:
    """Whether it can be read, and whether it is what fal publishes."""
    try:
        catalog = load_catalog(more=settings.catalog_dir)
    except ValueError as error:
        return Finding("catalogue", State.WRONG, str(error), "correct the file, see CATALOG_DIR")
    count = f"{len(catalog.models)} models"
    async with open_platform(settings) as platform:
        if platform is None:
            return Finding("catalogue", State.OK, f"{count}, not compared with fal's: FAL_KEY is not set")
        try:
            drifted = await find_drift(platform, catalog.models)
        except ProviderError as error:
            return Finding("catalogue", State.OK, f"{count}, not compared with fal's: {error}")
    if drifted:
        found = "; ".join(f"{endpoint}: {', '.join(lines)}" for endpoint, lines in drifted.items())
        return Finding("catalogue", State.WRONG, found, "put a corrected file into CATALOG_DIR, or update Reelay")
    return Finding("catalogue", State.OK, f"{count}, as fal publishes them")


async def check_webhook_address(client: httpx.AsyncClient, settings: Settings) -> Finding:
    if not settings.app_url:
        return Finding("webhooks", State.OFF, "APP_URL is not set: providers are polled")
    try:
        answer = await client.get(f"{settings.app_url}/healthz")
    except httpx.HTTPError as error:
        found = f"{settings.app_url} is not reached from here ({type(error).__name__})"
        return Finding("webhooks", State.WRONG, found, "see the tunnel or the proxy before the API")
    if not answer.is_success:
        found = f"{settings.app_url}/healthz answers HTTP {answer.status_code}"
        return Finding("webhooks", State.WRONG, found, "let APP_URL lead to the API")
    return Finding("webhooks", State.OK, f"{settings.app_url} is reached, from here")
