"""What nobody thought of, made from the OpenAPI document: no 5xx, no status and no body that is not documented.

`make fuzz` runs it for longer. A finding is told with the curl line that repeats it and with the seed.
"""

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlmodel import col, select

from reelay.db.keys import PREFIX_LENGTH
from reelay.db.tables import (
    Asset,
    Batch,
    Campaign,
    Clip,
    GenerationJob,
    OutgoingDelivery,
    PipelineRow,
    Scope,
    WebhookDelivery,
    WebhookEndpoint,
)
from tests.document import openapi_document
from tests.eventually import eventually
from tests.integration.api.shared import problem
from tests.running import Service, running_service
from tests.servers import Servers
from tests.unit.media.samples import make_picture

SECONDS = int(os.environ.get("FUZZ_SECONDS", "5"))
SEED = int(os.environ.get("FUZZ_SEED", "20260101"))
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)
OF_OPERATORS = ("--include-path-regex", "^/api/admin/")
"""Examples for who is none. The operator sends those of all operations."""
ENDLESS = "/events$"
"""Streams do not end by themselves; their own tests read them."""
TOO_SOON = "No test cases were generated"
TRIED_IDS = 10
"""Of each kind."""
KNOWN = (
    *("job_id", "request_id", "campaign_id", "clip_id", "batch_id", "pipeline_id", "asset_id", "endpoint_id"),
    *("name", "delivery_id", "user", "prefix"),
)
NOBODY_IS_THERE = "http://127.0.0.1:9/hook"
PLAN: dict[str, Any] = {"steps": {"frame": {"kind": "first-frame", "input": {"prompt": "a harbour"}}}}
PROMPTED = ("video", "first-frame", "ambient")
REQUESTS = re.compile(r'reelay_http_requests_total{method="(.*?)",route="(.*?)",status="(.*?)"} (\S+)')
NEEDED: dict[str, dict[str, Any]] = {
    "/{endpoint_id}/redeliver": {"since": "2026-01-01T00:00:00Z"},
    "/{pipeline_id}/approve": {"step": "frame"},
    "/{pipeline_id}/reject": {"step": "frame"},
    "/{clip_id}/produce": {"video": {}},
    "/{campaign_id}/produce": {"clips": {str(uuid4()): {"video": {}}}},
}
"""Bodies without which a request is refused, whoever sends it, by the end of the path."""
UNANSWERED = {
    "POST /api/webhooks/fal": "only fal can sign",
    "GET /api/events": "does not end",
    "GET /api/jobs/{job_id}/events": "does not end",
    "GET /api/pipelines/{pipeline_id}/events": "does not end",
    "PUT /api/uploads/{asset_id}/content": "its link alone opens it",
    **{
        f"POST /api/admin/jobs/{{job_id}}/{call}": "no job waits for a slot where no limit is set"
        for call in ("hold", "release", "move")
    },
}

pytestmark = pytest.mark.timeout(SECONDS * 11 + 300)


@pytest.fixture(scope="module")
async def fuzzed(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["Fuzzed"]:
    """A service of its own after two users, an operator and somebody else, sent it whatever the document allows."""
    async with running_service(servers, creations_per_minute=0, fal_admin_key="admin:secret") as service:
        async with (
            await service.user("mallory") as mallory,
            await service.user("root", scope=Scope.ADMIN) as root,
            await service.user("spare") as spare,
            await service.user("leaving"),
        ):
            picture = make_picture(tmp_path_factory.mktemp("picture") / "me.png").read_bytes()
            belongings = await asyncio.gather(make_one_of_each(mallory, picture), make_one_of_each(root, picture))
            delivery = await verified_delivery(service)
            prefix = spare.headers["authorization"].removeprefix("Bearer ")[:PREFIX_LENGTH]
            of_operators = {"delivery_id": delivery, "user": "spare", "prefix": prefix}
            before = await answers(service)
            findings = await asyncio.gather(
                *(
                    fuzz(service, user, examples, phases, those | of_operators, tmp_path_factory.mktemp("fuzz"))
                    for user, examples, phases, those in zip(
                        (mallory, root), (OF_OPERATORS, ()), ("coverage,fuzzing", "stateful"), belongings, strict=True
                    )
                )
            )
        assert not any(findings), "\n".join(findings)
        yield Fuzzed(service, await answers(service) - before)


async def fuzz(
    service: Service,
    user: httpx.AsyncClient,
    examples: Sequence[str],
    phases: str,
    belongings: dict[str, str],
    folder: Path,
) -> str:
    """What schemathesis has found, in its words; empty when there is nothing.

    The examples, one or more of each operation that is asked for, take what time they need; the other phases have a
    limit, longer where the machine is so busy that it was over before the first request.
    """
    found = await run_phases(service, user, ("--phases", "examples", *examples), belongings, folder)
    for seconds in (SECONDS, 10 * SECONDS):
        limited = await run_phases(service, user, ("--phases", phases, "--max-time", str(seconds)), belongings, folder)
        if TOO_SOON not in limited:
            break
    return found + limited


async def run_phases(
    service: Service, user: httpx.AsyncClient, phases: Sequence[str], belongings: dict[str, str], folder: Path
) -> str:
    document, secret = folder / "openapi.json", service.settings.webhook_secret
    document.write_bytes((await service.client.get("/openapi.json")).content)
    hooks = {
        "SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("fuzzing_hooks.py")),
        "FUZZ_REHEARSED": json.dumps(rehearsed(belongings)),
        "FUZZ_KNOWN": json.dumps({name: [belongings[name]] for name in KNOWN}),
        "FUZZ_SEED": str(SEED),
    }
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", str(document), "--url", service.origin, *phases, "--checks", CHECKS, "--request-timeout", "60"),
        *("--max-examples", "20", "--seed", str(SEED)),
        *("--exclude-path-regex", ENDLESS, "--header", f"authorization: {user.headers['authorization']}"),
        *("--header", f"x-webhook-secret: {secret.get_secret_value() if secret else ''}"),
        *("--suppress-health-check", "all", "--warnings", "off", "--continue-on-failure", "--no-color"),
        cwd=folder,
        env={**os.environ, **hooks},
        stdout=PIPE,
        stderr=STDOUT,
    )
    told = (await process.communicate())[0].decode(errors="replace")
    tried = re.search(r"(\d+) generated", told)
    return "" if process.returncode == 0 and tried and int(tried[1]) else told


async def make_one_of_each(user: httpx.AsyncClient, picture: bytes) -> dict[str, str]:
    """So that there is something to be read, and to be kept from others, whatever the fuzzing makes. Ids by name."""
    campaigns = [(await user.post("/api/campaigns", json={"name": name})).json()["id"] for name in ("Autumn", "Old")]
    clips = [
        (await user.post(f"/api/campaigns/{campaigns[0]}/clips", json={"title": title})).json()["id"]
        for title in ("Harbour", "Old")
    ]
    videos = [
        {"prompt": f"a lighthouse {fault}", "quality": "fast", "clipId": clips[0]} for fault in ("", "[sim: fail=422]")
    ]
    wait = {"prefer": "wait=60"}
    made, failed = await asyncio.gather(
        *(user.post("/api/generate/video", json=each, headers=wait, timeout=90) for each in videos)
    )
    assert (made.json()["status"], failed.json()["status"]) == ("completed", "failed"), made.text + failed.text
    by_replicate = {"model": "zeroscope-v2-xl", "input": {"prompt": "a reef"}}
    told = await user.post("/api/jobs", json=by_replicate, headers=wait, timeout=90)
    assert told.json()["status"] == "completed", told.text
    pushed = await user.post("/api/jobs", json={"model": "studio-push", "input": {}})
    batch = await user.post("/api/batches", json={"jobs": [{"model": "studio-push", "input": {}}]})
    waiting = [await pipeline_at(user, "waiting_for_approval") for _ in range(2)]
    canceled = await pipeline_at(user, "canceled")
    assets = [(await user.post("/api/uploads", files={"file": picture})).json()["assetId"] for _ in range(2)]
    words = {"fileName": "me.png", "contentType": "image/png", "sizeBytes": len(picture)}
    announced = (await user.post("/api/uploads", json=words)).json()
    sent = await user.put(announced["uploadUrl"], content=picture, headers=announced["headers"])
    assert sent.is_success, sent.text
    endpoints = [
        (await user.post("/api/webhook-endpoints", json={"url": NOBODY_IS_THERE})).json()["id"] for _ in range(2)
    ]
    deliveries = (await user.get(f"/api/webhook-endpoints/{endpoints[0]}/deliveries")).json()["data"]
    return {
        "batch_id": batch.json()["batchId"],
        "pipeline_id": waiting[0],
        "other_pipeline": waiting[1],
        "canceled_pipeline": canceled,
        "asset_id": assets[0],
        "old_asset": assets[1],
        "announced_asset": announced["assetId"],
        "endpoint_id": endpoints[0],
        "old_endpoint": endpoints[1],
        "delivery_of_endpoint": deliveries[0]["id"],
        "old_job": told.json()["id"],
        "job_id": made.json()["id"],
        "failed_job": failed.json()["id"],
        "pushed_job": pushed.json()["jobId"],
        "request_id": made.json()["falRequestId"],
        "name": "video.mp4",
        "campaign_id": campaigns[0],
        "old_campaign": campaigns[1],
        "clip_id": clips[0],
        "old_clip": clips[1],
    }


async def pipeline_at(user: httpx.AsyncClient, status: str) -> str:
    """One of a step that waits for its approval, or was canceled."""
    made = await user.post("/api/pipelines", json=PLAN | {"approvals": ["frame"], "reuse": False})
    assert made.status_code == 202, made.text
    path = f"/api/pipelines/{made.json()['pipelineId']}"
    if status == "canceled":
        await user.post(f"{path}/cancel")

    async def is_there() -> bool:
        return bool((await user.get(path)).json()["status"] == status)

    await eventually(is_there)
    return str(made.json()["pipelineId"])


async def verified_delivery(service: Service) -> str:
    """One that an operator can feed in again. The log is written after the answer."""

    async def found() -> UUID | None:
        async with service.sessions() as session:
            return await session.scalar(select(WebhookDelivery.id).where(col(WebhookDelivery.verified)))

    return str(await eventually(found))


def rehearsed(those: dict[str, str]) -> dict[str, dict[str, Any]]:
    """For each operation what makes a request of it that is answered."""
    bodies = {
        **{f"POST /api/generate/{kind}": {"prompt": "a harbour", "clipId": those["clip_id"]} for kind in PROMPTED},
        "POST /api/generate/voice": {"text": "Hello."},
        "POST /api/generate/transcribe": {"audioUrl": "https://example.com/speech.mp3"},
        "POST /api/jobs": {"model": "studio-push", "input": {}},
        "POST /api/estimate": {"model": "studio-push", "input": {}},
        "POST /api/campaigns": {"name": "Winter"},
        "POST /api/campaigns/{campaign_id}/clips": {"title": "Pier"},
        "POST /api/chat": {"message": "/help"},
        **{f"POST /api/admin/codec/{call}": {"payloads": []} for call in ("decode", "encode")},
        "POST /api/admin/users": {"name": "made"},
        "POST /api/admin/users/{user}/budget": {"monthlyBudgetCents": 500},
        "POST /api/admin/keys": {"user": "spare"},
        "POST /api/admin/credits/{user}/add": {"cents": 500},
        "POST /api/admin/credits/{user}/adjust": {"cents": 5, "reason": "a mistake"},
        "POST /api/admin/users/{user}/slot-weight": {"slotWeight": 2},
        "POST /api/admin/users/{user}/highest-priority": {"highestPriority": "high"},
        "POST /api/admin/providers/{provider}/limit": {"slots": None},
        "POST /api/admin/jobs/{job_id}/move": {"place": "front"},
        "POST /api/pipelines": PLAN,
        **{f"POST /api/pipelines/{{pipeline_id}}/{call}": {"step": "frame"} for call in ("approve", "reject")},
        "POST /api/pipelines/{pipeline_id}/rerun": {"steps": {}},
        "POST /api/clips/{clip_id}/produce": {"video": {"prompt": "boats", "model": "veo3.1-fast"}},
        "POST /api/campaigns/{campaign_id}/produce": {
            "clips": {those["clip_id"]: {"video": {"prompt": "boats", "model": "veo3.1-fast"}}}
        },
        "POST /api/batches": {"jobs": [{"model": "studio-push", "input": {}}]},
        "POST /api/uploads": {"fileName": "me.png", "contentType": "image/png", "sizeBytes": 100},
        "POST /api/webhook-endpoints": {"url": NOBODY_IS_THERE},
        "PATCH /api/webhook-endpoints/{endpoint_id}": {"description": "nobody"},
        "POST /api/webhook-endpoints/{endpoint_id}/redeliver": {"since": "2026-01-01T00:00:00Z"},
        "POST /api/tasks": {"taskId": "video_1703265432_abc123", "prompt": "un chat"},
        "POST /api/webhooks/video-completion": {
            "job_id": those["pushed_job"],
            "content_type": "video",
            "status": "generating",
        },
    }
    ids = {
        "POST /api/jobs/{job_id}/retry": {"job_id": those["failed_job"]},
        "POST /api/admin/jobs/{job_id}/retry": {"job_id": those["failed_job"]},
        "DELETE /api/jobs/{job_id}": {"job_id": those["old_job"]},
        "POST /api/pipelines/{pipeline_id}/reject": {"pipeline_id": those["other_pipeline"]},
        "POST /api/pipelines/{pipeline_id}/retry": {"pipeline_id": those["canceled_pipeline"]},
        "GET /api/models/{name}": {"name": "veo3.1"},
        "POST /api/uploads/{asset_id}/complete": {"asset_id": those["announced_asset"]},
        "DELETE /api/assets/{asset_id}": {"asset_id": those["old_asset"]},
        "DELETE /api/webhook-endpoints/{endpoint_id}": {"endpoint_id": those["old_endpoint"]},
        "POST /api/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver": {
            "endpoint_id": those["endpoint_id"],
            "delivery_id": those["delivery_of_endpoint"],
        },
        "DELETE /api/admin/users/{user}": {"user": "leaving"},
        "DELETE /api/campaigns/{campaign_id}": {"campaign_id": those["old_campaign"]},
        "DELETE /api/clips/{clip_id}": {"clip_id": those["old_clip"]},
    }
    found: dict[str, dict[str, Any]] = {}
    for method, path in operations():
        names = re.findall(r"{(\w+)}", path)
        label = f"{method} {path}"
        found[label] = {
            "path_parameters": {name: {"provider": "fal", **those}[name] for name in names} | ids.get(label, {})
        }
        if label in bodies:
            found[label] |= {"body": bodies[label], "media_type": "application/json"}
    return found


async def answers(service: Service) -> Counter[tuple[str, bool]]:
    """How many of each operation's requests were answered, and how many refused, as the service counts them."""
    counted: Counter[tuple[str, bool]] = Counter()
    for method, route, status, count in REQUESTS.findall((await service.client.get("/metrics")).text):
        counted[f"{method} {route.replace(':path}', '}')}", status.startswith("2")] += int(float(count))
    return counted


@dataclass(frozen=True)
class Fuzzed:
    service: Service
    answers: Counter[tuple[str, bool]]


async def test_nothing_that_is_sent_breaks_a_promise_of_the_document(fuzzed: Fuzzed, subtests: pytest.Subtests) -> None:
    """The fixture has looked at each answer; here, that it was not of refusals alone, and that nobody else sees what
    was made: one test, for two would be in two processes, and each of those would fuzz."""
    named = {f"{method} {path}" for method, path in operations()}
    answered = {operation for operation, is_answered in fuzzed.answers if is_answered}
    assert named - answered == UNANSWERED.keys(), fuzzed.answers
    made = await rows_made(fuzzed.service)
    assert all(made.values()), {name: len(ids) for name, ids in made.items()}
    assert (await fuzzed.service.client.get("/readyz")).status_code == 200
    await nobody_else_sees(fuzzed.service, made, subtests)


async def nobody_else_sees(service: Service, made: dict[str, list[Any]], subtests: pytest.Subtests) -> None:
    async with await service.user("bob") as bob:
        for method, path in operations():
            if "{" not in path or path.startswith(("/api/admin/", "/api/models/")):
                continue
            if f"{method} {path}" in UNANSWERED and method == "PUT":
                continue
            names = re.findall(r"{(\w+)}", path)
            body = next((body for end, body in NEEDED.items() if path.endswith(end)), {})
            bodies = {"POST": body, "PATCH": {}}
            for values in islice(product(*(made[name] for name in names)), TRIED_IDS):
                address = path.format(**dict(zip(names, values, strict=True)))
                with subtests.test(f"{method} {path}"):
                    response = await bob.request(method, address, json=bodies.get(method))
                    problem(response, 404, "NOT_FOUND")


async def rows_made(service: Service) -> dict[str, list[Any]]:
    """Ids by their names in paths."""
    async with service.sessions() as session:
        jobs = (await session.scalars(select(GenerationJob))).all()
        campaigns = (await session.scalars(select(Campaign))).all()
        clips = (await session.scalars(select(Clip))).all()
        batches = (await session.scalars(select(Batch))).all()
        pipelines = (await session.scalars(select(PipelineRow))).all()
        assets = (await session.scalars(select(Asset))).all()
        endpoints = (await session.scalars(select(WebhookEndpoint))).all()
        deliveries = (await session.scalars(select(OutgoingDelivery))).all()
    return {
        "job_id": [job.id for job in jobs],
        "request_id": [job.provider_request_id for job in jobs if job.provider_request_id],
        "campaign_id": [campaign.id for campaign in campaigns],
        "clip_id": [clip.id for clip in clips],
        "batch_id": [batch.id for batch in batches],
        "pipeline_id": [pipeline.id for pipeline in pipelines],
        "asset_id": [asset.id for asset in assets],
        "endpoint_id": [endpoint.id for endpoint in endpoints],
        "delivery_id": [delivery.id for delivery in deliveries],
        "name": ["video.mp4"],
    }


def operations() -> list[tuple[str, str]]:
    return [(method.upper(), path) for path, item in openapi_document()["paths"].items() for method in item]
