"""What Prometheus reads of a worker, and that the dashboard asks for nothing else."""

import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from api.metrics import Metrics
from lab.devstack.ports import free_ports
from tests.eventually import PATIENCE
from tests.paths import ROOT
from tests.running import Service, running_service
from tests.servers import Servers
from tests.webhook_receiver import webhook_receiver
from worker import measured, working
from workflows.client import connect

DASHBOARD = ROOT / "docs" / "grafana.json"
METRIC = re.compile(r"\b(?:reelay|temporal)_[a-z_]+")
PARTS = ("_bucket", "_sum", "_count")


@pytest.fixture(scope="module")
async def scraped(servers: Servers) -> AsyncIterator[tuple[Service, str]]:
    """A service whose worker has done a completed, a refused and a polled job, and told of one; what it then tells
    Prometheus."""
    (port,) = free_ports(1)
    async with (
        running_service(servers, worker=False, webhook_patience=1) as service,
        working(service.settings, await connect(runtime=measured(f"127.0.0.1:{port}"))),
        webhook_receiver() as receiver,
    ):
        jobs = [
            await service.create("a secret plan", webhookUrl=receiver.url()),
            await service.create("a refused one [sim: fail=422]"),
            await service.create("a lost call [sim: webhook=lost]"),
        ]
        for job in jobs:
            await service.closed_as(job)
        await receiver.requests(1, type="job.completed")
        async with httpx.AsyncClient(timeout=PATIENCE) as prometheus:
            yield service, (await prometheus.get(f"http://127.0.0.1:{port}/metrics")).text


async def test_a_worker_tells_how_generations_end(scraped: tuple[Service, str]) -> None:
    _, text = scraped

    ended = r'reelay_generations_ended_total\{.*?model="veo3.1-fast".*?outcome="(\w+)".*?\} (\d+)'
    ends = {found[1]: int(found[2]) for found in re.finditer(ended, text)}
    assert ends == {"completed": 2, "provider_rejected": 1}
    assert re.search(r'reelay_archived_bytes_total\{.*provider="fal".*\} [1-9]', text)
    assert re.search(r'reelay_activity_seconds_count\{.*activity="archive".*\} 2', text)
    assert re.search(r'reelay_activity_attempts_total\{.*activity="submit".*result="ok".*\} 3', text)
    assert re.search(r'reelay_background_task_failures_total\{.*task="reconciliation_schedule".*\} 0', text)
    assert re.search(r'reelay_activity_attempts_total\{.*activity="archive".*result="provider_rejected".*\} 1', text)


async def test_no_label_of_a_worker_grows_with_its_jobs(scraped: tuple[Service, str]) -> None:
    _, text = scraped

    assert "secret plan" not in text
    ours = [line for line in text.splitlines() if line.startswith("reelay_")]
    assert ours
    queue = scraped[0].settings.task_queue
    assert not [line for line in ours if re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", line.replace(queue, ""))]


async def test_the_dashboard_asks_for_metrics_that_there_are(scraped: tuple[Service, str]) -> None:
    _, text = scraped
    queries = [
        target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel.get("targets", [])
    ]
    there = {family(name) for name in METRIC.findall(text)}
    there |= {metric.name for metric in Metrics().registry.collect()}

    asked = {family(name) for query in queries for name in METRIC.findall(query)}

    assert len(asked) > 10
    assert asked - there == set()


def family(name: str) -> str:
    for part in PARTS:
        name = name.removesuffix(part)
    return name.removesuffix("_total")
