"""What a worker tells of its health, and how an API process leaves."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import httpx

from api.app import create_app
from api.server import ApiServer, server_config
from lab.devstack.ports import HOST, free_ports
from reelay.db.engine import make_engine, make_sessions
from reelay.worker_health import health_app, serving_health
from tests.eventually import PATIENCE, eventually
from tests.integration.pipelines.shared import VOICE, create, with_input
from tests.running import PATIENT, Service
from tests.servers import loopback_socket
from worker import measured, unused_loopback_address, working
from workflows.client import connect
from workflows.task_queues import TaskQueue

NOWHERE = "http://127.0.0.1:9/metrics"


async def test_a_worker_tells_its_health_and_its_metrics(patient_service: Service) -> None:
    settings = patient_service.settings.model_copy(update={"task_queue": f"health-{uuid4()}"})
    metrics, (port,) = unused_loopback_address(), free_ports(1)
    async with (
        working(settings, await connect(runtime=measured(metrics))) as health,
        serving_health(health, host=HOST, port=port, metrics_url=f"http://{metrics}/metrics"),
        httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=PATIENCE) as probe,
    ):
        assert (await probe.get("/healthz")).json() == {"status": "ok", "parts": {"pollers": "ok"}}

        async def is_ready() -> bool:
            return (await probe.get("/readyz")).status_code == 200

        await eventually(is_ready)
        parts = (await probe.get("/readyz")).json()["parts"]
        assert set(parts) >= {"pollers", "postgres", "temporal", "archive", "reconciliation_schedule"}
        assert "reelay_background_task_failures_total" in (await probe.get("/metrics")).text
        await asyncio.gather(*(poller.shutdown() for poller in health.pollers))
        assert (await probe.get("/healthz")).json()["parts"] == {"pollers": "stopped"}
        health.is_draining = True
        draining = await probe.get("/readyz")
        assert (draining.status_code, draining.json()["parts"]) == (503, {"process": "draining"})


async def test_a_worker_whose_postgres_is_away_lives_and_is_not_ready(patient_service: Service) -> None:
    settings = patient_service.settings.model_copy(update={"task_queue": f"health-{uuid4()}"})
    (nobody,) = free_ports(1)
    engine = make_engine(f"postgresql://nobody:nothing@{HOST}:{nobody}/nothing")
    async with working(settings, patient_service.temporal, {TaskQueue.GENERATIONS}) as health:
        without = replace(health, sessions=make_sessions(engine))
        transport = httpx.ASGITransport(health_app(without, NOWHERE))
        async with httpx.AsyncClient(transport=transport, base_url="http://worker") as probe:
            assert (await probe.get("/healthz")).status_code == 200
            ready = await probe.get("/readyz")
            assert ready.status_code == 503
            assert ready.json()["parts"]["postgres"] == "does not answer"
            assert "archive" not in ready.json()["parts"]  # of transfers alone
    await engine.dispose()


async def test_an_api_process_that_stops_serves_until_it_is_drained_and_then_sends_its_readers_elsewhere(
    patient_service: Service,
) -> None:
    app = create_app(patient_service.settings, PATIENT)
    config = server_config(app, trusted_proxies=[], log_level="warning", timeout_graceful_shutdown=int(PATIENCE))
    server = ApiServer(app, config, drain=timedelta(days=1))
    bound = loopback_socket()
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    job_id = await patient_service.create("long [sim: latency=10m]")
    await patient_service.until_accepted(job_id)
    pipeline_id = await create(patient_service, {"voice": with_input(VOICE, text="long [sim: latency=10m]")})
    async with httpx.AsyncClient(
        base_url=f"http://{HOST}:{bound.getsockname()[1]}", headers=patient_service.client.headers, timeout=PATIENCE
    ) as client:
        async with (
            client.stream("GET", f"/api/jobs/{job_id}/events") as stream,
            client.stream("GET", f"/api/pipelines/{pipeline_id}/events") as of_pipeline,
        ):
            lines = stream.aiter_lines()
            assert [await anext(lines), (await anext(lines)).partition(":")[0]] == ["retry: 1000", "id"]
            waiting = asyncio.create_task(client.get(f"/api/jobs/{job_id}", params={"wait": 60}))
            server.should_exit = True

            async def is_draining() -> bool:
                return (await client.get("/readyz")).status_code == 503

            await eventually(is_draining)
            assert (await client.get("/readyz")).json()["parts"] == {"process": "draining"}
            assert (await client.get(f"/api/jobs/{job_id}")).status_code == 200
            server.drain_seconds = 0
            ends = [[line async for line in each] for each in (lines, of_pipeline.aiter_lines())]
        answered = await waiting
    for end in ends:
        assert [line.partition(":")[0] for line in end if line][-1] == "retry"
    assert json.loads(answered.content)["status"] != "completed"
    assert answered.status_code == 200
    await serving
    await patient_service.client.post(f"/api/jobs/{job_id}/cancel")
    await patient_service.client.post(f"/api/pipelines/{pipeline_id}/cancel")
