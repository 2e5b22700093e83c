"""The provider's bill beside ours: what it billed is found again by its request, and what is nobody's is said."""

import asyncio
import csv
import json
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs
from temporalio.client import Schedule
from temporalio.service import RPCError
from typer.testing import CliRunner, Result

from api.metrics import Metrics, refreshing_gauges
from reelay.background import TaskSupervisor
from reelay.cli.main import app as command_line
from reelay.db.tables import Scope
from tests.eventually import eventually
from tests.running import Service, running_service
from tests.servers import Servers, simulator_server
from workflows.ids import bill_reconciliation_id

Bill = dict[str, Any]
STRANGER = {"prompt": "somebody else's"}
VEO = "fal-ai/veo3.1/fast"


@pytest.fixture(scope="module")
async def billed_service(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    async with (
        simulator_server(tmp_path_factory.mktemp("bill")) as simulator,
        running_service(replace(servers, simulator=simulator), fal_admin_key="admin:secret") as service,
    ):
        yield service


@pytest.fixture
async def alone(billed_service: Service, request: pytest.FixtureRequest) -> AsyncIterator[Service]:
    """Its simulator has billed nobody yet, and its bill was never read."""
    async with httpx.AsyncClient(base_url=billed_service.servers.simulator) as simulator:
        (await simulator.post("/__sim/reset")).raise_for_status()
    await change(billed_service, "truncate billing_events, bill_reconciliations")
    async with billed_service.for_user(request.node.name) as mine:
        yield mine


@pytest.fixture
async def operator(alone: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with await alone.user("olga", scope=Scope.ADMIN, credits=0) as client:
        yield client


async def reconciled(operator: httpx.AsyncClient, **body: int) -> Bill:
    response = await operator.post("/api/admin/bill/reconcile", json=body)
    assert response.status_code == 200, response.text
    bill: Bill = response.json()
    return bill


async def change(service: Service, statement: str, **parameters: Any) -> None:
    async with service.sessions.begin() as session:
        await session.execute(text(statement), parameters)


async def rows(service: Service) -> list[tuple[Any, ...]]:
    async with service.sessions() as session:
        found = await session.execute(text("select * from billing_events order by request_id"))
        return [tuple(row) for row in found]


async def completed(service: Service, prompt: str = "a lighthouse") -> str:
    job_id = await service.create(prompt)
    await service.until(job_id, "completed")
    return job_id


async def request_of(service: Service, job_id: str) -> str:
    (request_id,) = (await service.simulated(job_id))["requests"]
    return str(request_id)


async def request_of_nobody(service: Service) -> str:
    """A request at our account that no job has made."""
    headers = {"authorization": "Key key:secret"}
    async with httpx.AsyncClient(base_url=service.servers.simulator) as fal:
        request_id = str((await fal.post(f"/{VEO}", json=STRANGER, headers=headers)).json()["request_id"])
    await service.servers.end_request(request_id)
    return request_id


async def test_what_was_billed_stands_beside_what_was_charged(alone: Service, operator: httpx.AsyncClient) -> None:
    jobs = [await completed(alone) for _ in range(3)]
    charged = sum([(await alone.job(job_id))["actualCostCents"] for job_id in jobs])

    bill = await reconciled(operator)

    events = await billed_by_simulator(alone)
    assert {event["request_id"] for event in events} == {await request_of(alone, job_id) for job_id in jobs}
    (model,) = bill["models"]
    billed = sum(event["cost_estimate_nano_usd"] for event in events) / 10_000_000
    assert model == {
        "model": "veo3.1-fast",
        "requests": 3,
        "billedCents": billed,
        "chargedCents": charged,
        "differenceCents": charged - billed,
    }
    assert (bill["unknownRequests"], bill["unbilledRequests"], bill["differingJobs"]) == ([], [], [])
    assert bill["reconciledAt"]

    kept = await rows(alone)
    again = await reconciled(operator, days=90)
    assert await rows(alone) == kept
    assert again["models"] == bill["models"]


async def billed_by_simulator(service: Service) -> list[dict[str, Any]]:
    """Read in pages of two."""
    found, query = list[dict[str, Any]](), {"limit": "2"}
    headers = {"authorization": "Key admin:secret"}
    async with httpx.AsyncClient(base_url=service.servers.simulator, headers=headers) as fal:
        while True:
            page = (await fal.get("/v1/models/billing-events", params=query)).json()
            found += page["billing_events"]
            if not page["has_more"]:
                return found
            query["cursor"] = page["next_cursor"]


async def test_a_request_of_nobodys_is_named_logged_and_counted(alone: Service, operator: httpx.AsyncClient) -> None:
    await completed(alone)
    request_id = await request_of_nobody(alone)

    with capture_logs() as logs:
        bill = await reconciled(operator)

    (unknown,) = bill["unknownRequests"]
    assert (unknown["requestId"], unknown["endpoint"], bill["unknownRequestsCount"]) == (request_id, VEO, 1)
    assert unknown["billedCents"] > 0
    assert {model["model"]: model["requests"] for model in bill["models"]} == {"veo3.1-fast": 1, VEO: 1}
    (line,) = [line for line in logs if line["event"] == "billed_requests_unknown"]
    assert (line["log_level"], line["requests"], line["request_ids"]) == ("error", 1, [request_id])

    metrics = Metrics()

    async def is_counted() -> bool:
        return metrics.registry.get_sample_value("reelay_billed_requests_unknown") == 1

    async with refreshing_gauges(TaskSupervisor(metrics.count_task_failures), metrics, alone.sessions):
        await eventually(is_counted)


@pytest.mark.parametrize("is_matched_before", [True, False])
async def test_a_billed_request_of_a_deleted_job_is_known(
    alone: Service, operator: httpx.AsyncClient, is_matched_before: bool
) -> None:
    job_id = await completed(alone)
    charged = (await alone.job(job_id))["actualCostCents"]
    if is_matched_before:
        await reconciled(operator)
    assert (await alone.client.delete(f"/api/jobs/{job_id}")).status_code == 204

    bill = await reconciled(operator)

    assert (bill["unknownRequests"], bill["differingJobs"]) == ([], [])
    assert [model["chargedCents"] for model in bill["models"]] == [charged]


async def test_a_request_that_a_retry_took_over_is_the_retrys(alone: Service, operator: httpx.AsyncClient) -> None:
    first, heir = await completed(alone), await completed(alone)
    request_id = await request_of(alone, first)
    await reconciled(operator)
    await change(
        alone,
        "update submission_attempts set job_id = :heir, number = 7 where request_id = :request",
        heir=heir,
        request=request_id,
    )
    bill = await reconciled(operator)
    (job,) = bill["differingJobs"]
    assert (job["jobId"], job["billedCents"]) == (heir, 2 * job["chargedCents"])


async def test_a_request_that_was_not_billed_is_named_after_a_day(alone: Service, operator: httpx.AsyncClient) -> None:
    job_id = await completed(alone)
    request_id = await request_of(alone, job_id)
    await reconciled(operator)
    await change(alone, "delete from billing_events")
    bill = (await operator.get("/api/admin/bill")).json()
    assert (bill["models"], bill["unbilledRequests"]) == ([], [])

    long_ago = "update generation_jobs set completed_at = completed_at - interval '25 hours' where id = :id"
    await change(alone, long_ago, id=job_id)
    bill = (await operator.get("/api/admin/bill")).json()
    (unbilled,) = bill["unbilledRequests"]
    assert (unbilled["requestId"], unbilled["jobId"], bill["unbilledRequestsCount"]) == (request_id, job_id, 1)

    # Before the bill was read for the first time nothing is known of it.
    await change(alone, "update bill_reconciliations set complete_since = now() - interval '1 hour'")
    assert (await operator.get("/api/admin/bill")).json()["unbilledRequests"] == []


async def test_a_job_that_was_charged_something_else_is_named(alone: Service, operator: httpx.AsyncClient) -> None:
    same, less = await completed(alone), await completed(alone, "a boat [sim: units=half]")
    bill = await reconciled(operator)
    (job,) = bill["differingJobs"]
    assert job["jobId"] == less
    assert job["differenceCents"] == job["chargedCents"] - job["billedCents"] < 0
    assert (await alone.job(same))["actualCostCents"] > job["chargedCents"]


async def test_an_amount_that_was_corrected_is_corrected(alone: Service, operator: httpx.AsyncClient) -> None:
    await completed(alone)
    before = (await reconciled(operator))["models"]
    await change(alone, "update billing_events set nano_usd = 1")
    assert (await reconciled(operator))["models"] == before


async def test_the_bill_is_had_as_a_table(alone: Service, operator: httpx.AsyncClient) -> None:
    await completed(alone)
    (model,) = (await reconciled(operator))["models"]
    response = await operator.get("/api/admin/bill", headers={"accept": "text/csv"})
    (row,) = csv.DictReader(StringIO(response.text))
    assert row == {name: str(value) for name, value in model.items()}


async def test_the_bill_is_for_operators(alone: Service) -> None:
    assert (await alone.client.get("/api/admin/bill")).status_code == 403
    assert (await alone.client.post("/api/admin/bill/reconcile", json={})).status_code == 403


async def test_a_worker_with_the_key_has_the_bill_read_daily(alone: Service) -> None:
    handle = alone.temporal.get_schedule_handle(bill_reconciliation_id(alone.settings.task_queue))

    async def schedule() -> Schedule | None:
        with suppress(RPCError):
            return (await handle.describe()).schedule
        return None

    (interval,) = (await eventually(schedule)).spec.intervals  # type: ignore[union-attr]  # it has come
    assert interval.every == timedelta(days=1)
    await handle.trigger()

    async def is_read() -> bool:
        async with alone.sessions() as session:
            return bool(await session.scalar(text("select count(*) from bill_reconciliations")))

    await eventually(is_read)


async def test_without_the_key_it_is_said_which_one_is_missing(service: Service) -> None:
    async with await service.user("olga", scope=Scope.ADMIN, credits=0) as operator:
        refused = await operator.post("/api/admin/bill/reconcile")
    assert (refused.status_code, refused.json()["code"]) == (409, "CONFLICT")
    assert refused.json()["detail"].startswith("FAL_ADMIN_KEY is not set")
    with pytest.raises(RPCError, match="not found"):
        await service.temporal.get_schedule_handle(bill_reconciliation_id(service.settings.task_queue)).describe()


async def typed(environment: dict[str, str], *words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, command_line, ["bill", "reconcile", *words], env=environment)


def in_the_database(service: Service) -> dict[str, str]:
    """An operator's environment, beside the service."""
    return {
        "ENVIRONMENT": "development",
        "DATABASE_URL": service.settings.database_url.get_secret_value(),
        "DATABASE_SERVICE_URL": service.settings.service_url,
        "TEMPORAL_ADDRESS": os.environ["TEMPORAL_ADDRESS"],
        "REELAY_TASK_QUEUE": service.settings.task_queue,
        "FAL_KEY": "key:secret",
        "API_KEY_PEPPER": "pepper for tests",
    }


async def test_the_command_shows_the_bill_and_names_who_is_unknown(alone: Service, operator: httpx.AsyncClient) -> None:
    await completed(alone)
    request_id = await request_of_nobody(alone)
    key = operator.headers["authorization"].removeprefix("Bearer ")
    by_api = {"REELAY_API_URL": alone.origin, "REELAY_ADMIN_KEY": key}

    shown = await typed(in_the_database(alone))
    assert shown.exit_code == 0, shown.output
    assert "veo3.1-fast" in shown.stdout
    assert "Requests that were billed and are no job's: 1" in shown.stdout
    assert request_id in shown.stdout

    in_database, at_api = [
        json.loads((await typed(env, "--json", "--days", "2")).stdout) for env in (in_the_database(alone), by_api)
    ]
    assert in_database | {"reconciledAt": None} == at_api | {"reconciledAt": None}
    assert [unknown["requestId"] for unknown in at_api["unknownRequests"]] == [request_id]


async def test_the_command_says_that_the_key_is_missing(service: Service) -> None:
    refused = await typed(in_the_database(service))
    assert refused.exit_code == 1
    assert "the bill was not read: FAL_ADMIN_KEY is not set" in refused.output
