"""What nobody thought of, made from the OpenAPI document: no 5xx, no status and no body that is not documented.

`make fuzz` runs it for longer. A finding is told with the curl line that repeats it and with the seed.
"""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from itertools import islice, product
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import select

from api.app import create_app
from db.tables import Campaign, Clip, GenerationJob, Scope
from tests.api.shared import problem
from tests.running import Service, running_service
from tests.servers import Servers

SECONDS = int(os.environ.get("FUZZ_SECONDS", "15"))
SEED = int(os.environ.get("FUZZ_SEED", "20260101"))
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)
ENDLESS = "/events$"
"""Streams do not end by themselves; their own tests read them."""
TRIED_IDS = 10
"""Of each kind."""

pytestmark = pytest.mark.timeout(SECONDS * 2 + 120)


@pytest.fixture(scope="module")
async def fuzzed(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """A service of its own after two users, an operator and somebody else, sent it whatever the document allows."""
    async with running_service(servers, creations_per_minute=0) as service:
        async with (
            await service.user("mallory") as mallory,
            await service.user("root", scope=Scope.ADMIN) as root,
        ):
            await make_one_of_each(mallory)
            findings = await asyncio.gather(
                fuzz(service, mallory, "coverage,fuzzing", tmp_path_factory.mktemp("mallory")),
                fuzz(service, root, "stateful", tmp_path_factory.mktemp("root")),
            )
        assert not any(findings), "\n".join(findings)
        yield service


async def fuzz(service: Service, user: httpx.AsyncClient, phases: str, folder: Path) -> str:
    """What schemathesis has found, in its words; empty when there is nothing."""
    secret = service.settings.webhook_secret
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", f"{service.origin}/openapi.json", "--phases", phases, "--checks", CHECKS),
        *("--max-time", str(SECONDS), "--max-examples", "20", "--seed", str(SEED)),
        *("--exclude-path-regex", ENDLESS, "--header", f"authorization: {user.headers['authorization']}"),
        *("--header", f"x-webhook-secret: {secret.get_secret_value() if secret else ''}"),
        *("--suppress-health-check", "all", "--warnings", "off", "--continue-on-failure", "--no-color"),
        cwd=folder,
        stdout=PIPE,
        stderr=STDOUT,
    )
    told = (await process.communicate())[0].decode(errors="replace")
    tried = re.search(r"(\d+) generated", told)
    return "" if process.returncode == 0 and tried and int(tried[1]) else told


async def make_one_of_each(user: httpx.AsyncClient) -> None:
    """So that there is something to be kept from others whatever the fuzzing makes."""
    campaign = (await user.post("/api/campaigns", json={"name": "Autumn"})).json()["id"]
    clip = (await user.post(f"/api/campaigns/{campaign}/clips", json={"title": "Harbour"})).json()["id"]
    video = {"prompt": "a lighthouse", "quality": "fast", "clipId": clip}
    made = await user.post("/api/generate/video", json=video, headers={"prefer": "wait=60"})
    assert made.json()["status"] == "completed", made.text


async def test_nothing_that_is_sent_breaks_a_promise_of_the_document(fuzzed: Service) -> None:
    """The fixture has looked at each answer; here, that there was something to look at."""
    made = await rows_made(fuzzed)
    assert all(made.values()), {name: len(ids) for name, ids in made.items()}
    assert (await fuzzed.client.get("/readyz")).status_code == 200


async def test_whatever_was_made_nobody_else_sees(fuzzed: Service, subtests: pytest.Subtests) -> None:
    made = await rows_made(fuzzed)
    async with await fuzzed.user("bob") as bob:
        for method, path in routes_to_rows(fuzzed):
            names = re.findall(r"{(\w+)}", path)
            for values in islice(product(*(made[name] for name in names)), TRIED_IDS):
                address = path.format(**dict(zip(names, values, strict=True)))
                with subtests.test(f"{method} {path}"):
                    response = await bob.request(method, address, json={} if method == "POST" else None)
                    problem(response, 404, "NOT_FOUND")


async def rows_made(service: Service) -> dict[str, list[Any]]:
    """Ids by their names in paths."""
    async with service.sessions() as session:
        jobs = (await session.scalars(select(GenerationJob))).all()
        campaigns = (await session.scalars(select(Campaign))).all()
        clips = (await session.scalars(select(Clip))).all()
    return {
        "job_id": [job.id for job in jobs],
        "request_id": [job.fal_request_id for job in jobs if job.fal_request_id],
        "campaign_id": [campaign.id for campaign in campaigns],
        "clip_id": [clip.id for clip in clips],
        "name": ["video.mp4"],
    }


def routes_to_rows(service: Service) -> list[tuple[str, str]]:
    paths: dict[str, dict[str, Any]] = create_app(service.settings).openapi()["paths"]
    return [
        (method.upper(), path)
        for path, item in paths.items()
        for method in item
        if "{" in path and not path.startswith("/api/admin/")
    ]
