"""Reelay as it is run: API and worker as processes, called over HTTP with an API key."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from lab.bench.contender import Contender, Footprint
from lab.bench.ground import Ground
from lab.bench.job import PROMPT
from lab.bench.over_http import Creating, OverHttp, clients
from lab.bench.provider import USER_ID
from lab.devstack.environment import simulated_provider
from lab.devstack.ports import HOST
from reelay.cli.access import LOCAL_CREDITS_CENTS, Database
from reelay.cli.data_dir import DataDir
from reelay.cli.secrets import keep_secrets
from reelay.db.credits import top_up
from reelay.db.keys import create_key
from reelay.db.tables import Scope
from reelay.db.users import find_or_create_user
from workflows.ids import workflow_id


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


CREATING = Creating(
    path="/api/generate/video",
    body={"prompt": PROMPT, "quality": "fast"},
    id_field="jobId",
    status_path="/api/jobs/{job}",
)


@asynccontextmanager
async def open_reelay(ground: Ground) -> AsyncIterator[Contender]:
    processes = {name: ground.stack.parts[name].pid for name in ("api", "worker")}
    async with reelay_at(
        ground, ground.stack.api_url, name="Reelay", processes=processes, headers=await api_headers(ground)
    ) as reelay:
        yield reelay


@asynccontextmanager
async def reelay_at(
    ground: Ground, api_url: str, *, name: str, processes: Mapping[str, int], headers: Mapping[str, str]
) -> AsyncIterator[Contender]:
    """The API there, and the worker that it starts workflows for."""
    temporal = await ground.connect("default")

    async def end_of(job: str) -> None:
        # Not by the API or the database: so it costs the same one long poll as with a bare workflow.
        await temporal.get_workflow_handle(_run_of(job)).result()

    async with clients(api_url, ground.provider_url, headers=headers) as (api, provider):
        yield OverHttp(
            name=name,
            promise=Footprint(events=29, actions=6),
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


async def api_headers(ground: Ground) -> dict[str, str]:
    """With a new key of the bench's user."""
    return await _headers(ground, Scope.USER)


async def operators_headers(ground: Ground) -> dict[str, str]:
    return await _headers(ground, Scope.ADMIN)


async def new_keys(ground: Ground, users: Sequence[str], scope: Scope = Scope.USER) -> list[str]:
    """A key for each of the users, who have credits."""
    pepper = keep_secrets(ground.data_dir.secrets_file).api_key_pepper.encode()
    database = Database(ground.stack.database_service_url, pepper)
    async with database.transaction() as session:
        for user in users:
            await top_up(session, await find_or_create_user(session, user), LOCAL_CREDITS_CENTS)
        return [await create_key(session, user=user, scope=scope, pepper=pepper) for user in users]


async def _headers(ground: Ground, scope: Scope) -> dict[str, str]:
    (key,) = await new_keys(ground, ["bench"], scope)
    return {"authorization": f"Bearer {key}"}
