"""Webhooks while a part is away: one of Temporal and Postgres is enough for an answer that is kept.

Polls would need a minute more than these tests have: what is completed here, a webhook completed.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlmodel import col, select

from reelay.db.tables import WebhookDelivery
from tests.eventually import eventually
from tests.running import PATIENT, Service, running_service
from tests.servers import Servers
from tests.tcp_lines import Line, Lines, open_line

Outage = Callable[[Line], AbstractContextManager[None]]
either_outage = pytest.mark.parametrize("outage", [Line.cut, Line.silent])
WHEN_TOLD = "a harbour [sim: latency=10m]"
"""It ends when the test says so."""
SOON = replace(PATIENT, signal=2, webhook_statement=6)
"""What nobody answers is given up."""


@pytest.fixture(scope="module")
async def lines(servers: Servers) -> AsyncIterator[Lines]:
    async with open_line(servers.temporal.port) as temporal, open_line(servers.postgres.server.port) as postgres:
        yield Lines(temporal, postgres)


@pytest.fixture(scope="module")
async def service(servers: Servers, lines: Lines) -> AsyncIterator[Service]:
    async with running_service(servers, lines=lines, timeouts=SOON, webhook_patience=60) as running:
        yield running


async def logged(service: Service, job_id: str, such: Callable[[WebhookDelivery], bool]) -> WebhookDelivery:
    """The job's only delivery in the log, once it is there and such."""
    statement = select(WebhookDelivery).where(col(WebhookDelivery.job_id) == UUID(job_id))

    async def found() -> WebhookDelivery | None:
        async with service.sessions() as session:
            row = (await session.scalars(statement)).one_or_none()
        return row if row and such(row) else None

    row = await eventually(found)
    assert row
    return row


def is_settled(row: WebhookDelivery) -> bool:
    return row.next_try_at is None


def was_tried_in_vain(row: WebhookDelivery) -> bool:
    return row.next_try_at is not None and row.next_try_at > row.received_at


async def submitted_job(service: Service) -> str:
    job_id = await service.create(WHEN_TOLD)
    await service.until_accepted(job_id)
    return job_id


async def completes_by_one_webhook(service: Service, job_id: str) -> None:
    await service.until(job_id, "completed")
    counted = await service.simulated(job_id)
    assert (counted["accepted"], counted["status_calls"], counted["downloads"]) == (1, 0, 1)
    assert [delivery["status_code"] for delivery in counted["webhooks"]][-1:] == [200]


async def fresh_job_succeeds(service: Service) -> None:
    job_id = await service.create()
    await completes_by_one_webhook(service, job_id)
    row = await logged(service, job_id, is_settled)
    assert (row.verdict, row.handed_over_at) == ("accepted", None)


async def first_delivery(service: Service, job_id: str) -> dict[str, Any]:
    """The webhook of a job that ends now."""
    await service.servers.end_at_provider(job_id)
    return (await service.deliveries(job_id, count=1))[0]


async def test_without_an_outage_nothing_waits_in_the_inbox(service: Service) -> None:
    await fresh_job_succeeds(service)


@pytest.mark.fault("W18")
@either_outage
async def test_webhook_while_temporal_is_away_is_kept_and_handed_over_later(
    service: Service, lines: Lines, outage: Outage
) -> None:
    job_id = await submitted_job(service)
    with outage(lines.temporal):
        delivery = await first_delivery(service, job_id)
        waiting = await logged(service, job_id, was_tried_in_vain)
    assert delivery["status_code"] == 200
    assert (waiting.verdict, waiting.status_code, waiting.attempt) == ("deferred", 200, 1)

    await completes_by_one_webhook(service, job_id)
    assert len((await service.simulated(job_id))["webhooks"]) == 1
    settled = await logged(service, job_id, is_settled)
    # A line that was silent may have kept the first signal, and hand it over before the second.
    verdicts = {"accepted", "duplicate"} if outage is Line.silent else {"accepted"}
    assert (settled.id, settled.verdict in verdicts) == (waiting.id, True)
    assert settled.handed_over_at
    await fresh_job_succeeds(service)


@pytest.mark.fault("W17")
@either_outage
async def test_webhook_while_postgres_is_away_is_safe_in_its_workflow(
    service: Service, lines: Lines, outage: Outage
) -> None:
    job_id = await submitted_job(service)
    with outage(lines.postgres):
        delivery = await first_delivery(service, job_id)
        assert await service.closed_as(job_id) == "COMPLETED"
    assert delivery["status_code"] == 200

    await completes_by_one_webhook(service, job_id)
    assert len((await service.simulated(job_id))["webhooks"]) == 1
    await fresh_job_succeeds(service)


@pytest.mark.fault("W17")
@either_outage
async def test_webhook_while_both_are_away_is_sent_again_by_the_provider(
    service: Service, lines: Lines, outage: Outage
) -> None:
    job_id = await submitted_job(service)
    with outage(lines.temporal), outage(lines.postgres):
        delivery = await first_delivery(service, job_id)
    assert delivery["status_code"] == 503

    await completes_by_one_webhook(service, job_id)
    await fresh_job_succeeds(service)


async def pushed_job(service: Service) -> str:
    body = {"model": "studio-video", "input": {"prompt": WHEN_TOLD}}
    job_id = str((await service.client.post("/api/jobs", json=body)).json()["jobId"])
    await service.until(job_id, "submitted", "in_progress")
    return job_id


async def test_end_that_is_pushed_while_temporal_is_away_is_kept_and_handed_over_later(
    service: Service, lines: Lines
) -> None:
    job_id = await pushed_job(service)
    with lines.temporal.cut():
        delivery = await first_delivery(service, job_id)
    assert delivery["status_code"] == 200
    assert len((await service.until(job_id, "completed"))["files"]) == 1
    assert len((await service.simulated(job_id))["webhooks"]) == 1


async def test_end_that_is_pushed_while_postgres_is_away_is_pushed_again(service: Service, lines: Lines) -> None:
    job_id = await pushed_job(service)
    with lines.postgres.cut():
        delivery = await first_delivery(service, job_id)
    assert delivery["status_code"] == 503
    assert len((await service.until(job_id, "completed"))["files"]) == 1
    assert (await service.simulated(job_id))["accepted"] == 1
