"""Who is let in, and that nobody sees, changes or learns of what belongs to somebody else."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import astuple, dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.engine import make_url
from temporalio.client import Client

from api.app import create_app
from api.events.reads import SharedReads
from api.events.routes import LARGEST_EVENT
from api.identity.callers import REMEMBERED_SECONDS
from reelay.db.clips import clips_of
from reelay.db.engine import make_engine, make_sessions
from reelay.db.generations import files_of, find_generation_by_request, find_stored_file, timeline
from reelay.db.keys import create_key, revoke_key
from reelay.db.tables import GenerationJob, Scope
from reelay.db.users import disable_user, enable_user, find_user
from tests.document import openapi_document
from tests.eventually import PATIENCE, eventually
from tests.integration.api.recording import NotedCalls, recorded
from tests.integration.api.shared import new_clip, problem, wrong_fields
from tests.one_task import in_one_task
from tests.running import PATIENT, Service, until
from tests.unit.media.samples import make_picture
from workflows.runs import GenerationRuns


@dataclass(frozen=True)
class Belongings:
    """What ann has, or, with other ids, what nobody has."""

    job: str
    request: str
    campaign: str
    clip: str
    batch: str
    pipeline: str
    asset: str
    endpoint: str
    delivery: str


CALLS = [
    ("GET", "/api/jobs/{0.job}"),
    ("GET", "/api/jobs/{0.job}?wait=5"),
    ("GET", "/api/jobs/{0.job}/history"),
    ("GET", "/api/jobs/{0.job}/events"),
    ("POST", "/api/jobs/{0.job}/poll"),
    ("POST", "/api/jobs/{0.job}/cancel"),
    ("POST", "/api/jobs/{0.job}/retry"),
    ("DELETE", "/api/jobs/{0.job}"),
    ("GET", "/api/fal-jobs/{0.request}"),
    ("GET", "/api/batches/{0.batch}"),
    ("POST", "/api/batches/{0.batch}/cancel"),
    ("GET", "/api/batches/{0.batch}/results"),
    ("GET", "/api/batches/{0.batch}/results.csv"),
    ("GET", "/api/pipelines/{0.pipeline}"),
    ("GET", "/api/pipelines/{0.pipeline}/events"),
    ("POST", "/api/pipelines/{0.pipeline}/approve"),
    ("POST", "/api/pipelines/{0.pipeline}/reject"),
    ("POST", "/api/pipelines/{0.pipeline}/cancel"),
    ("POST", "/api/pipelines/{0.pipeline}/retry"),
    ("POST", "/api/pipelines/{0.pipeline}/rerun"),
    ("GET", "/api/media/{0.job}/video.mp4"),
    ("GET", "/api/media/{0.job}/video-poster.jpg"),
    ("GET", "/api/campaigns/{0.campaign}"),
    ("DELETE", "/api/campaigns/{0.campaign}"),
    ("POST", "/api/campaigns/{0.campaign}/clips"),
    ("GET", "/api/campaigns/{0.campaign}/clips"),
    ("POST", "/api/campaigns/{0.campaign}/produce"),
    ("GET", "/api/clips/{0.clip}"),
    ("POST", "/api/clips/{0.clip}/produce"),
    ("DELETE", "/api/clips/{0.clip}"),
    ("POST", "/api/uploads/{0.asset}/complete"),
    ("GET", "/api/assets/{0.asset}"),
    ("DELETE", "/api/assets/{0.asset}"),
    ("GET", "/api/media/{0.asset}/image.png"),
    ("GET", "/api/webhook-endpoints/{0.endpoint}"),
    ("PATCH", "/api/webhook-endpoints/{0.endpoint}"),
    ("POST", "/api/webhook-endpoints/{0.endpoint}/rotate-secret"),
    ("POST", "/api/webhook-endpoints/{0.endpoint}/test"),
    ("GET", "/api/webhook-endpoints/{0.endpoint}/deliveries"),
    ("POST", "/api/webhook-endpoints/{0.endpoint}/deliveries/{0.delivery}/redeliver"),
    ("POST", "/api/webhook-endpoints/{0.endpoint}/redeliver"),
    ("DELETE", "/api/webhook-endpoints/{0.endpoint}"),
]
NEEDED: dict[str, dict[str, Any]] = {
    "/redeliver": {"since": "2026-11-30T00:00:00Z"},
    "/approve": {"step": "frame"},
    "/reject": {"step": "frame"},
    "/campaigns/[^/]+/produce": {"clips": {str(uuid4()): {"video": {}}}},
    "/produce": {"video": {}},
}
"""Bodies without which a call is refused, whoever makes it, by the end of its path, as a pattern."""
NOBODY_IS_THERE = "http://127.0.0.1:9/hook"
BY_LINK_ALONE = {("PUT", "/api/uploads/*/content")}
"""No key opens it, neither its owner's nor anybody else's: `test_an_uploads_link_takes_that_file_and_no_other`."""
PUBLIC = ("/api/webhooks/", "/api/models", "/api/estimate", "/healthz", "/readyz", "/metrics")
NOBODYS = Belongings(
    job=str(uuid4()),
    request=str(uuid4()),
    campaign=str(uuid4()),
    clip=str(uuid4()),
    batch=str(uuid4()),
    pipeline=str(uuid4()),
    asset=str(uuid4()),
    endpoint=str(uuid4()),
    delivery=str(uuid4()),
)


@pytest.fixture(scope="module")
async def patient_service(shared_patient_service: Service) -> AsyncIterator[Service]:
    """To one user for all tests of this file, because they share what that user has."""
    async with shared_patient_service.for_user("one for this file") as mine:
        yield mine


@pytest.fixture(scope="module")
async def anns(patient_service: Service, tmp_path_factory: pytest.TempPathFactory) -> Belongings:
    clip = await new_clip(patient_service)
    job_id = await patient_service.create(clipId=clip["id"], campaignId=clip["campaignId"])
    job = await patient_service.until(job_id, "completed")
    jobs = {"jobs": [{"model": "studio-push", "input": {}}]}
    batch = (await patient_service.client.post("/api/batches", json=jobs)).json()
    plan = {"steps": {"frame": {"kind": "first-frame", "input": {"prompt": "a harbour"}}}}
    pipeline = (await patient_service.client.post("/api/pipelines", json=plan)).json()["pipelineId"]

    async def has_ended() -> bool:
        found = await patient_service.client.get(f"/api/pipelines/{pipeline}")
        return bool(found.json()["status"] == "completed")

    await eventually(has_ended)
    picture = make_picture(tmp_path_factory.mktemp("picture") / "me.png").read_bytes()
    asset = (await patient_service.client.post("/api/uploads", files={"file": picture})).json()
    endpoint = (await patient_service.client.post("/api/webhook-endpoints", json={"url": NOBODY_IS_THERE})).json()["id"]
    deliveries = await patient_service.client.get(f"/api/webhook-endpoints/{endpoint}/deliveries")
    return Belongings(
        job=job_id,
        request=job["falRequestId"],
        campaign=clip["campaignId"],
        clip=clip["id"],
        batch=batch["batchId"],
        pipeline=pipeline,
        asset=asset["assetId"],
        endpoint=endpoint,
        delivery=deliveries.json()["data"][0]["id"],
    )


async def call(client: httpx.AsyncClient, method: str, path: str) -> httpx.Response:
    needed = next((body for end, body in NEEDED.items() if re.search(f"{end}$", path)), {})
    return await client.request(method, path, json={"PATCH": {}, "POST": needed}.get(method))


async def newest_job(client: httpx.AsyncClient) -> str | None:
    """Its id, to see that no other was made."""
    page = (await client.get("/api/jobs", params={"limit": 1})).json()["data"]
    return page[0]["id"] if page else None


def without_its_own_headers(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in ("x-request-id", "date")}


@pytest.mark.fault("T1")
@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_what_is_somebody_elses_looks_like_nothing(
    patient_service: Service, bob: httpx.AsyncClient, anns: Belongings, method: str, path: str
) -> None:
    if method != "DELETE":  # it would be gone for the calls after this one
        assert (await call(patient_service.client, method, path.format(anns))).status_code != 404
    hers = await call(bob, method, path.format(anns))
    unknown = await call(bob, method, path.format(NOBODYS))

    problem(hers, 404, "NOT_FOUND")
    assert hers.content == unknown.content
    assert without_its_own_headers(hers) == without_its_own_headers(unknown)


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Basic cms6cms=", "Bearer rk_unknown", "Bearer a b", "Bearer \xe9", f"Bearer {'x' * 5000}"],
)
async def test_without_a_valid_key_nothing_is_answered(patient_service: Service, authorization: str | None) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    async with httpx.AsyncClient(base_url=patient_service.origin, headers=headers, timeout=PATIENCE) as client:
        for method, path in [*CALLS, ("GET", "/api/jobs"), ("POST", "/api/generate/video"), ("POST", "/api/jobs")]:
            response = await call(client, method, path.format(NOBODYS))
            problem(response, 401, "UNAUTHENTICATED")
            assert response.headers["www-authenticate"] == "Bearer"


async def test_key_in_the_query_is_no_key(patient_service: Service) -> None:
    key = patient_service.client.headers["authorization"].removeprefix("Bearer ")
    async with httpx.AsyncClient(base_url=patient_service.origin, timeout=PATIENCE) as client:
        refused = await client.get("/api/jobs", params={"key": key, "access_token": key})
    problem(refused, 422, "INVALID_PARAMS")
    assert key not in refused.text


async def test_revoked_key_is_refused_within_seconds(patient_service: Service) -> None:
    async with await patient_service.user("carol") as carol, await patient_service.user("carol") as her_other_key:
        assert (await carol.get("/api/jobs")).status_code == 200
        async with patient_service.sessions.begin() as session:
            assert await revoke_key(session, carol.headers["authorization"].removeprefix("Bearer "))

        async def is_refused() -> bool:
            return bool(problem(await carol.get("/api/jobs"), 401, "UNAUTHENTICATED"))

        await eventually(is_refused)
        assert (await her_other_key.get("/api/jobs")).status_code == 200


async def test_an_expired_key_is_refused(patient_service: Service) -> None:
    pepper = patient_service.settings.api_key_pepper.get_secret_value().encode()
    async with patient_service.sessions.begin() as session:
        ended, living = [
            await create_key(session, user="erin", scope=Scope.USER, pepper=pepper, lifetime=timedelta(minutes=minutes))
            for minutes in (-1, 1)
        ]
    async with httpx.AsyncClient(base_url=patient_service.origin, timeout=PATIENCE) as client:
        refused, answered = [
            await client.get("/api/jobs", headers={"authorization": f"Bearer {key}"}) for key in (ended, living)
        ]

    problem(refused, 401, "UNAUTHENTICATED")
    assert answered.status_code == 200


async def test_a_disabled_user_is_shut_out_with_all_keys(patient_service: Service) -> None:
    async with await patient_service.user("fred") as fred:
        for change, status in ((disable_user, 401), (enable_user, 200)):
            async with patient_service.sessions.begin() as session:
                user = await find_user(session, "fred")
                assert user is not None
                await change(session, user.id)

            async def is_noticed(status: int = status) -> bool:
                return (await fred.get("/api/jobs")).status_code == status

            await eventually(is_noticed)


async def test_key_revoked_during_a_wait_is_refused_when_it_ends(patient_service: Service) -> None:
    async with await patient_service.user("hana") as hana:
        asked = {"prompt": "long [sim: latency=10m]", "quality": "fast"}
        job_id = (await hana.post("/api/generate/video", json=asked)).json()["jobId"]
        await until(hana, f"/api/jobs/{job_id}", "in_progress")
        living = await hana.get(f"/api/jobs/{job_id}", params={"wait": 0.1})
        waits = [
            asyncio.create_task(hana.get(f"/api/jobs/{job_id}", params={"wait": REMEMBERED_SECONDS + 2})),
            asyncio.create_task(
                hana.post("/api/generate/video", json=asked, headers={"prefer": f"wait={REMEMBERED_SECONDS + 2:.0f}"})
            ),
        ]

        # Both have been let in once the second job is there.
        async def both_are_there() -> bool:
            return len((await hana.get("/api/jobs")).json()["data"]) == 2

        await eventually(both_are_there)
        async with patient_service.sessions.begin() as session:
            assert await revoke_key(session, hana.headers["authorization"].removeprefix("Bearer "))

        assert living.status_code == 200
        for wait in waits:
            problem(await wait, 401, "UNAUTHENTICATED")
    async with await patient_service.user("hana") as her_other_key:
        for job in (await her_other_key.get("/api/jobs")).json()["data"]:
            assert (await her_other_key.post(f"/api/jobs/{job['id']}/cancel")).status_code == 202


@pytest.mark.fault("T3")
async def test_open_stream_ends_when_its_key_is_revoked(patient_service: Service) -> None:
    async with await patient_service.user("gina") as gina, await patient_service.user("gina") as her_other_key:
        created = await gina.post("/api/generate/video", json={"prompt": "long [sim: latency=10m]", "quality": "fast"})
        job = f"/api/jobs/{created.json()['jobId']}"
        async with gina.stream("GET", f"{job}/events") as cut, her_other_key.stream("GET", f"{job}/events") as kept:
            lines, others = cut.aiter_lines(), kept.aiter_lines()
            assert await anext(lines)
            async with patient_service.sessions.begin() as session:
                assert await revoke_key(session, gina.headers["authorization"].removeprefix("Bearer "))
            assert "canceled" not in "".join([line async for line in lines])
            assert (await her_other_key.post(f"{job}/cancel")).status_code == 202
            assert "canceled" in "".join([line async for line in others])
        problem(await gina.get(f"{job}/events"), 401, "UNAUTHENTICATED")


@pytest.mark.fault("T5")
async def test_somebody_elses_idempotency_key_is_a_key_of_ones_own(
    patient_service: Service, bob: httpx.AsyncClient
) -> None:
    words, key = {"text": "the same words"}, {"idempotency-key": "the-same-key"}
    hers = await patient_service.client.post("/api/generate/voice", json=words, headers=key)
    his = await bob.post("/api/generate/voice", json=words, headers=key)
    others = await bob.post("/api/generate/voice", json={"text": "other words"}, headers=key)

    assert (hers.status_code, his.status_code) == (202, 202)
    assert hers.json()["jobId"] != his.json()["jobId"]
    assert "idempotency-replayed" not in his.headers
    problem(others, 422, "IDEMPOTENCY_KEY_REUSED")


NAMED_BESIDE_THE_PATH: list[tuple[str, str, dict[str, str] | None]] = [
    ("HEAD", "/api/media/{0.job}/video.mp4", None),
    ("GET", "/api/jobs?clipId={0.clip}", None),
    ("GET", "/api/jobs/{0.job}?logs=1", None),
    ("POST", "/api/chat", {"message": "/status {0.job}"}),
    ("POST", "/api/generate/video", {"prompt": "x", "quality": "fast", "clipId": "{0.clip}"}),
    ("POST", "/api/generate/voice", {"text": "x", "campaignId": "{0.campaign}"}),
]
OF_ONES_OWN: list[tuple[str, str, dict[str, str]]] = [
    ("POST", "/api/generate/voice", {"text": "x"}),
    ("POST", "/api/jobs/{0.job}/retry", {}),
    ("POST", "/api/campaigns", {"name": "x"}),
    ("POST", "/api/events/token", {}),
    ("POST", "/api/chat", {"message": "/video x"}),
    *(("GET", path, {}) for path in ("/api/jobs", "/api/campaigns", "/api/videos/user", "/api/credits")),
]


@dataclass(frozen=True)
class Inside:
    """The API in the test's own task, which remembers no caller and counts no requests."""

    app: FastAPI
    origin: str

    async def done(
        self, client: httpx.AsyncClient, method: str, path: str, body: Any, those: Belongings
    ) -> tuple[int, list[str]]:
        """The answer's status, and all that it took."""
        with pytest.MonkeyPatch.context() as patch, recorded() as record:
            patch.setattr("api.identity.callers.REMEMBERED_SECONDS", 0)
            response = await self.call(client, method, path, body, those)
        return response.status_code, record

    async def call(
        self, client: httpx.AsyncClient, method: str, path: str, body: Any, those: Belongings
    ) -> httpx.Response:
        words = {name: value.format(those) for name, value in (body or {}).items()}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url=self.origin,
            headers=client.headers,
            timeout=PATIENCE,
        ) as inside:
            json = words if method == "POST" else None
            return await inside.request(method, path.format(those), json=json)


@pytest.fixture(scope="module")
async def inside(patient_service: Service) -> AsyncIterator[Inside]:
    # What a user has stored is counted once a minute, which would tell a first call from a second.
    unlimited = {"requests_per_second": 0, "storage_per_user_bytes": 0}
    settings = patient_service.settings.model_copy(update=unlimited)
    app = create_app(settings, PATIENT)
    config: dict[str, Any] = {**patient_service.temporal.config(), "interceptors": [NotedCalls()]}
    temporal = Client(**config)
    async with in_one_task(app.router.lifespan_context(app)):
        app.state.services = replace(
            app.state.services,
            temporal=temporal,
            runs=GenerationRuns(temporal, settings.task_queue, settings.app_url, PATIENT),
        )
        yield Inside(app, patient_service.origin)


@pytest.mark.parametrize(
    ("method", "path", "body"), [*((method, path, None) for method, path in CALLS), *NAMED_BESIDE_THE_PATH]
)
async def test_somebody_elses_takes_the_very_work_that_nothing_takes(
    inside: Inside, bob: httpx.AsyncClient, anns: Belongings, method: str, path: str, body: dict[str, str] | None
) -> None:
    """The same statements in the same order, so that not even the time tells them apart; and no workflow is asked."""
    hers, unknown = [await inside.done(bob, method, path, body, those) for those in (anns, NOBODYS)]

    assert hers == unknown
    assert hers[1]
    assert not [line for line in hers[1] if not line.startswith("reelay_app: ")]


@pytest.fixture(scope="module")
async def unsecured(patient_service: Service) -> AsyncIterator[Inside]:
    """An API to whose role row-level security shows every row. Its start would refuse it."""
    settings = patient_service.settings.model_copy(update={"requests_per_second": 0})
    superuser = await asyncpg.connect(patient_service.servers.postgres.server.superuser_url)
    await superuser.execute("create role bypassing login bypassrls password 'bypassing' in role reelay_app")
    await superuser.close()
    url = make_url(settings.database_url.get_secret_value()).set(username="bypassing", password="bypassing")
    engine = make_engine(url.render_as_string(hide_password=False), connection_seconds=PATIENT.connection)
    sessions = make_sessions(engine)
    app = create_app(settings, PATIENT)
    async with in_one_task(app.router.lifespan_context(app)):
        app.state.services = replace(app.state.services, sessions=sessions, shared_reads=SharedReads(sessions))
        yield Inside(app, patient_service.origin)
    await engine.dispose()


@pytest.mark.fault("T15")
@pytest.mark.parametrize(
    ("method", "path", "body"), [*((method, path, None) for method, path in CALLS), *NAMED_BESIDE_THE_PATH]
)
async def test_without_row_level_security_somebody_elses_still_looks_like_nothing(
    unsecured: Inside, bob: httpx.AsyncClient, anns: Belongings, method: str, path: str, body: dict[str, str] | None
) -> None:
    hers, unknown = [await unsecured.call(bob, method, path, body, those) for those in (anns, NOBODYS)]

    assert hers.status_code == unknown.status_code
    hidden = hers.text
    for theirs, nobodys in zip(astuple(anns), astuple(NOBODYS), strict=True):
        hidden = hidden.replace(theirs, nobodys)
    assert hidden == unknown.text


@pytest.mark.fault("T15")
async def test_without_row_level_security_every_read_names_its_user(
    unsecured: Inside, patient_service: Service, bob: httpx.AsyncClient, anns: Belongings
) -> None:
    job, campaign, services = UUID(anns.job), UUID(anns.campaign), unsecured.app.state.services
    for path in ("/api/jobs", "/api/videos/user", "/api/campaigns"):
        mine = await unsecured.call(patient_service.client, "GET", path, None, anns)
        theirs = await unsecured.call(bob, "GET", path, None, anns)
        assert {anns.job, anns.campaign} & {row["id"] for row in mine.json()["data"]}, path
        assert not {anns.job, anns.campaign} & {row["id"] for row in theirs.json()["data"]}, path
    async with services.sessions() as session:
        row = await session.get_one(GenerationJob, job)  # this role sees everything
        for user_id, seen in ((row.user_id, True), (uuid4(), False)):
            reads = [
                await timeline(session, user_id, job),
                await files_of(session, user_id, [job]),
                await find_stored_file(session, user_id, job, "video.mp4"),
                await find_generation_by_request(session, user_id, anns.request),
                await clips_of(session, user_id, campaign),
                (await services.shared_reads.change_of_generation(user_id, job, 0, 0)).changes,
                (await services.shared_reads.changes_of_user(user_id, 0, LARGEST_EVENT)).changes,
                (await services.shared_reads.changes_of_user(user_id, 1, LARGEST_EVENT)).changes,
            ]
            assert [bool(read) for read in reads] == [seen] * len(reads)


async def test_what_users_ask_for_is_answered_without_the_service_role(
    patient_service: Service, inside: Inside, anns: Belongings
) -> None:
    """But for a cancellation: to end a job is the service's to write, and its statement names the user."""
    kept = [call for call in CALLS if call[0] != "DELETE" and "/events" not in call[1]]
    living = replace(anns, job=await patient_service.create("long [sim: latency=10m]"))
    work: list[str] = []
    for those in (anns, living):
        for method, path, body in [*((*call, {}) for call in kept), *NAMED_BESIDE_THE_PATH, *OF_ONES_OWN]:
            done = (await inside.done(patient_service.client, method, path, body, those))[1]
            work += [line for line in done if not (path.endswith("/cancel") and "reelay_service" in line)]

    assert {line.split(":")[0] for line in work} == {"reelay_app", "temporal"}
    assert {"temporal: start_workflow", "temporal: query_workflow", "temporal: cancel_workflow"} <= set(work)


def test_every_route_to_something_is_tried_by_somebody_else(patient_service: Service) -> None:
    """A new route that names a row in its path has to be added to CALLS."""
    document = openapi_document()
    routes = {
        (method.upper(), re.sub(r"{.*?}", "*", path))
        for path, item in document["paths"].items()
        for method in item
        if "{" in path and path.startswith("/api/") and not path.startswith(("/api/admin/", "/api/models/"))
    }
    tried = {(method, re.sub(r"{.*?}|video.*|image.png", "*", path.split("?")[0])) for method, path in CALLS}
    assert routes - BY_LINK_ALONE == tried


async def test_every_route_asks_who_calls_and_operators_routes_for_their_scope(
    patient_service: Service, bob: httpx.AsyncClient
) -> None:
    """But for those that providers, probes and readers of the documentation call."""
    document = openapi_document()
    public = {path for path, item in document["paths"].items() for call in item.values() if "security" not in call}
    assert all(path.startswith(PUBLIC) for path in public), public
    async with httpx.AsyncClient(base_url=patient_service.origin, timeout=PATIENCE) as nobody:
        for path, item in document["paths"].items():
            for method in item.keys() - ({"parameters"} if path not in public else item.keys()):
                address = re.sub(r"{.*?}", str(uuid4()), path)
                problem(await call(nobody, method.upper(), address), 401, "UNAUTHENTICATED")
                if path.startswith("/api/admin/"):
                    problem(await call(bob, method.upper(), address), 403, "FORBIDDEN")


@pytest.mark.fault("T2")
async def test_somebody_elses_cancel_reaches_neither_the_job_nor_the_provider(
    patient_service: Service, bob: httpx.AsyncClient
) -> None:
    job_id = await patient_service.create("long [sim: latency=10m]")
    await patient_service.until_accepted(job_id)
    for verb in ("cancel", "poll", "retry"):
        problem(await bob.post(f"/api/jobs/{job_id}/{verb}"), 404, "NOT_FOUND")

    assert (await patient_service.job(job_id))["stage"] == "generating"
    counted = await patient_service.simulated(job_id)
    assert (counted["cancel_calls"], counted["status_calls"]) == (0, 0)
    assert (await patient_service.client.post(f"/api/jobs/{job_id}/cancel")).status_code == 202
    await patient_service.until(job_id, "canceled")


@pytest.mark.fault("T4")
async def test_lists_show_the_callers_own_rows_alone(patient_service: Service, anns: Belongings) -> None:
    async with await patient_service.user("dora") as dora:
        accepted = await dora.post("/api/generate/voice", json={"text": "mine"})
        hers = accepted.json()["jobId"]
        await patient_service.client.post("/api/generate/voice", json={"text": "one more of ann's"})
        anns_cursor = (await patient_service.client.get("/api/jobs", params={"limit": 1})).json()["nextCursor"]
        seen = [
            {job["id"] for job in (await dora.get("/api/jobs", params=params)).json()["data"]}
            for params in ({}, {"status": "completed"}, {"clipId": anns.clip}, {"type": "video"})
        ]
        after = await dora.get("/api/jobs", params={"after": anns_cursor})

        assert seen[0] == {hers}
        assert set().union(*seen) <= {hers}
        assert {job["id"] for job in after.json()["data"]} <= {hers}


async def test_somebody_elses_clip_cannot_be_given_media(bob: httpx.AsyncClient, anns: Belongings) -> None:
    def asked_for(those: Belongings) -> dict[str, str]:
        return {"prompt": "x", "clipId": those.clip, "campaignId": those.campaign}

    before = await newest_job(bob)
    refused = await bob.post("/api/generate/video", json=asked_for(anns))
    unknown = await bob.post("/api/generate/video", json=asked_for(NOBODYS))

    assert wrong_fields(refused) == ["campaignId", "clipId"]
    hidden = refused.text.replace(anns.clip, NOBODYS.clip).replace(anns.campaign, NOBODYS.campaign)
    assert hidden == unknown.text
    assert await newest_job(bob) == before


@pytest.mark.fault("T8")
@pytest.mark.parametrize(
    "field",
    [
        {"user_id": str(uuid4())},
        {"userId": str(uuid4())},
        {"id": str(uuid4())},
        {"status": "completed"},
        {"credits_deducted": -100},
        {"creditsDeducted": -100},
        {"result_url": "https://example.com/v.mp4"},
        {"falRequestId": "r"},
        {"fal_webhook": "https://example.com"},
        {"estimatedCostCents": 0},
    ],
    ids=lambda field: next(iter(field)),
)
async def test_callers_cannot_set_what_is_ours_to_set(patient_service: Service, field: dict[str, object]) -> None:
    client = patient_service.client
    before = await newest_job(client)
    campaign = (await client.post("/api/campaigns", json={"name": "Autumn"})).json()["id"]
    for path, body in (
        ("/api/generate/video", {"prompt": "x"}),
        ("/api/jobs", {"model": "veo3.1-fast", "input": {"prompt": "x"}}),
        ("/api/campaigns", {"name": "x"}),
        (f"/api/campaigns/{campaign}/clips", {"title": "x"}),
    ):
        assert wrong_fields(await client.post(path, json=body | field)) == list(field)
    inside = {"model": "veo3.1-fast", "input": {"prompt": "x"} | field}
    assert wrong_fields(await client.post("/api/jobs", json=inside)) == list(field)

    assert await newest_job(client) == before
    assert (await client.get(f"/api/campaigns/{campaign}")).json()["clips"] == []
