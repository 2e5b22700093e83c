"""Reelay as it is run: API and worker as processes, called over HTTP with an API key."""

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from lab.bench.contender import Footprint
from lab.bench.ground import Ground, origin_of, plain_environment, polls, process, serves
from lab.bench.http_clients import clients
from lab.bench.job import PROMPT
from lab.bench.over_http import Creating, OverHttp
from lab.bench.provider import USER_ID
from lab.devstack.environment import simulated_provider
from lab.devstack.ports import HOST, free_ports
from lab.devstack.processes import Answers, Program
from reelay.cli.access import LOCAL_CREDITS_CENTS, Database
from reelay.cli.data_dir import DataDir
from reelay.cli.secrets import keep_secrets
from reelay.db.credits import top_up
from reelay.db.keys import create_key
from reelay.db.tables import Scope
from reelay.db.users import find_or_create_user
from reelay.payload_keys import PayloadKeys
from workflows.ids import workflow_id

NAME = "Reelay"
EVENTS, ACTIONS = 29, 6
"""What a generation leaves behind at most, where it is alone: under load a repeated step may cost an action."""
CREATING = Creating(
    path="/api/generate/video",
    body={"prompt": PROMPT, "quality": "fast"},
    id_field="jobId",
    status_path="/api/jobs/{job}",
)
AS_BEFORE: Mapping[str, str] = {}


def keeps_promise(left: Footprint) -> bool:
    return left.events <= EVENTS and left.actions <= ACTIONS


def reelay_environment(data_dir: DataDir, *, provider_url: str, api_url: str) -> dict[str, str]:
    """What a user's `.env` could otherwise change."""
    return {
        **simulated_provider(provider_url),
        "STUDIO_BACKEND_URL": "",
        "APP_URL": api_url,
        "ARCHIVE_URL": data_dir.archive.as_uri(),
        "FAL_USER_ID": USER_ID,
        "DOWNLOAD_ALLOWED_HOSTS": HOST,
        **dict.fromkeys(("REQUESTS_PER_SECOND", "CREATIONS_PER_MINUTE", "CONCURRENT_GENERATIONS"), "0"),
        "WEBHOOK_PATIENCE_SECONDS": "3600",  # those that are made to wait are not polled meanwhile
    }


@asynccontextmanager
async def open_reelay(ground: Ground, *, name: str = NAME, user: str = "bench") -> AsyncIterator[OverHttp]:
    """The stack's own."""
    stack = ground.stack
    processes = {part: stack.parts[part].pid for part in ("api", "worker")}
    async with _calling(ground, stack.api_url, name, processes, user, None) as reelay:
        yield reelay


@asynccontextmanager
async def open_beside(
    ground: Ground, name: str, *, python: Path = Path(sys.executable), environment: Mapping[str, str] = AS_BEFORE
) -> AsyncIterator[OverHttp]:
    """An API and a worker beside the stack's own, on a task queue of theirs."""
    (port,) = free_ports(1)
    stack, url, queue = ground.stack, origin_of(port), f"generations-{name.replace(' ', '-').lower()}"
    secrets = keep_secrets(ground.data_dir.secrets_file)
    whole = {
        **plain_environment(),
        **reelay_environment(ground.data_dir, provider_url=ground.provider_url, api_url=url),
        "ENVIRONMENT": "development",
        "DATABASE_URL": stack.database_url,
        "DATABASE_SERVICE_URL": stack.database_service_url,
        "TEMPORAL_ADDRESS": stack.temporal_address,
        "REELAY_TASK_QUEUE": queue,
        "REELAY_DATA_DIR": str(ground.data_dir.path),
        "FAL_WEBHOOK_SECRET": secrets.webhook_secret,
        "OUTGOING_WEBHOOK_SECRET": secrets.webhook_secret,
        "API_KEY_PEPPER": secrets.api_key_pepper,
        **environment,
    }

    def program(part: str, answers: Answers, *arguments: str) -> Program:
        return Program(
            name=f"{part} of {name}",
            command=(str(python), "-P", "-m", "reelay.cli.main", part, *arguments),
            environment=whole,
            log_file=ground.data_dir.log_file(f"{part}-{queue}"),
            answers=answers,
            start_timeout=timedelta(minutes=2),  # on a busy machine, beside another API and worker
        )

    keys = PayloadKeys.parse(environment["PAYLOAD_KEYS"]) if "PAYLOAD_KEYS" in environment else None
    async with (
        process(program("worker", polls(await ground.connect(), queue))) as worker,
        process(program("api", serves(f"{url}/readyz"), "--port", str(port))) as api,
        _calling(ground, url, name, {"api": api, "worker": worker}, "bench", keys) as reelay,
    ):
        yield reelay


@asynccontextmanager
async def _calling(
    ground: Ground, api_url: str, name: str, processes: Mapping[str, int], user: str, keys: PayloadKeys | None
) -> AsyncIterator[OverHttp]:
    """The API there, and the worker that it starts workflows for."""
    temporal = await ground.connect(keys=keys)

    async def end_of(job: str) -> None:
        # Not by the API or the database: so it costs the same one long poll as with a bare workflow.
        await temporal.get_workflow_handle(_run_of(job)).result()

    headers = await headers_of(ground, user)
    async with clients(api_url, ground.provider_url, headers=headers) as (api, provider):
        yield OverHttp(
            name=name,
            processes=processes,
            creating=CREATING,
            api=api,
            provider=provider,
            end_of=end_of,
            run_of=_run_of,
            temporal=temporal,
        )


def _run_of(job: str) -> str:
    return workflow_id(UUID(job))


async def headers_of(ground: Ground, user: str, scope: Scope = Scope.USER) -> dict[str, str]:
    """With a new key of that user."""
    (key,) = await new_keys(ground, [user], scope)
    return bearer(key)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def new_keys(ground: Ground, users: Sequence[str], scope: Scope = Scope.USER) -> list[str]:
    """A key for each of the users, who have credits."""
    pepper = keep_secrets(ground.data_dir.secrets_file).api_key_pepper.encode()
    database = Database(ground.stack.database_service_url, pepper)
    async with database.transaction() as session:
        for user in users:
            await top_up(session, await find_or_create_user(session, user), LOCAL_CREDITS_CENTS)
        return [await create_key(session, user=user, scope=scope, pepper=pepper) for user in users]
