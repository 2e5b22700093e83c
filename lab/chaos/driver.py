"""The plan carried out: jobs created and canceled over HTTP, parts killed, ends watched in the database."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import psutil

from lab.chaos.evidence import Kill, Notes
from lab.chaos.plan import Part, Plan, PlannedJob, PlannedKill, PlannedPipeline
from lab.chaos.receiver import Receiver
from reelay.cli.data_dir import DataDir
from reelay.db.address import PostgresAddress
from reelay.db.engine import POSTGRES_UNAVAILABLE, connect_to_postgres, naming_outages
from reelay.domain.generation import Status

NO_ANSWER = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)
ASK_AGAIN_SECONDS = 0.3
ANSWER_WITHIN_SECONDS = 60
"""Longer than any outage that a kill causes."""
POLL_EVERY_SECONDS = 0.5
PART_BACK_WITHIN_SECONDS = 30
SLACK_SECONDS = 60
"""For what comes after the deadline of the last job: an archive that is tried again, an end to be written down."""

Show = Callable[[str], None]


class Driver:
    def __init__(self, plan: Plan, data_dir: DataDir, api: httpx.AsyncClient, receiver: Receiver, show: Show) -> None:
        """`show` gets a line of progress twice a second."""
        self._plan = plan
        self._data_dir = data_dir
        self._api = api
        self._receiver = receiver
        self._show = show
        self._started = asyncio.get_running_loop().time()
        self.notes = Notes()

    async def run(self) -> None:
        """Everything planned, then the wait until all has ended or time is up, then one fresh job."""
        watching = asyncio.create_task(self._watch())
        try:
            async with asyncio.TaskGroup() as group:
                for kill in self._plan.kills:
                    group.create_task(self._kill(kill))
                for job in self._plan.jobs:
                    group.create_task(self._live(job))
                for pipeline in self._plan.pipelines:
                    group.create_task(self._film(pipeline))
            await self._until_ended((self._plan.times.wait or 0) + self._plan.times.deadline + SLACK_SECONDS)
            fresh = await self._create(
                "/api/generate/video", {"prompt": "a quiet morning after", "quality": "fast"}, "fresh"
            )
            if fresh is not None:
                self.notes.fresh = fresh
                await self._until_ended(self._plan.times.deadline)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _live(self, job: PlannedJob) -> None:
        await self._sleep_until(job.at)
        body = job.body | {"webhookUrl": self._receiver.url(job.number)}
        created = await self._create(job.path, body, str(job.number))
        if created is None:
            return
        self.notes.answered[job.number] = created
        if job.cancel_after is not None:
            await asyncio.sleep(job.cancel_after)
            self.notes.canceled.add(job.number)
            await self._insist(f"/api/jobs/{created}/cancel", {}, {})

    async def _film(self, pipeline: PlannedPipeline) -> None:
        await self._sleep_until(pipeline.at)
        key = f"chaos {self._plan.seed} film {pipeline.number}"
        answer = await self._insist("/api/pipelines", pipeline.body, {"idempotency-key": key})
        if answer:
            self.notes.pipelines[pipeline.number] = UUID(answer.json()["pipelineId"])

    async def _create(self, path: str, body: Mapping[str, Any], key: str) -> UUID | None:
        answer = await self._insist(path, body, {"idempotency-key": f"chaos {self._plan.seed} {key}"})
        return UUID(answer.json()["jobId"]) if answer else None

    async def _insist(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> httpx.Response | None:
        """The first 2xx; None when there was none in time. The API may be away, or say 503, meanwhile."""
        deadline = self._now() + ANSWER_WITHIN_SECONDS
        while self._now() < deadline:
            with suppress(*NO_ANSWER):
                answer = await self._api.post(path, json=body, headers=headers)
                if answer.is_success:
                    return answer
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    self.notes.oddities.append(f"POST {path}: HTTP {answer.status_code} {answer.text[:200]}")
            await asyncio.sleep(ASK_AGAIN_SECONDS)
        return None

    async def _kill(self, kill: PlannedKill) -> None:
        """SIGKILL. A part that is away at the moment is killed once it is back."""
        await self._sleep_until(kill.at)
        back = self._now() + PART_BACK_WITHIN_SECONDS
        while (process := self._process_of(kill.part)) is None:
            if self._now() > back:
                return self.notes.oddities.append(f"{kill.part} was not back within {PART_BACK_WITHIN_SECONDS} s")
            await asyncio.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
        self.notes.kills.append(Kill(kill.part, datetime.now(UTC)))

    def _process_of(self, part: Part) -> psutil.Process | None:
        """None while it is started again."""
        process_id = self._data_dir.find_stack().parts.get(part)
        return process_id.find() if process_id else None

    async def _watch(self) -> None:
        """Note the first end of each job, and show how far all is."""
        address = PostgresAddress.parse(self._data_dir.find_stack().database_admin_url)
        while True:
            with suppress(*POSTGRES_UNAVAILABLE), naming_outages():
                await self._watch_with(await connect_to_postgres(address, timeout=5))
            await asyncio.sleep(POLL_EVERY_SECONDS)

    async def _watch_with(self, connection: asyncpg.Connection) -> None:
        try:
            while True:
                self._note(await connection.fetch("select id, status from generation_jobs"))
                ended = await connection.fetch("select id from pipelines where status <> 'running'")
                self.notes.ended_pipelines.update(row["id"] for row in ended)
                await asyncio.sleep(POLL_EVERY_SECONDS)
        finally:
            connection.terminate()

    def _note(self, rows: list[Mapping[str, Any]]) -> None:
        for row in rows:
            if (status := Status(row["status"])).is_final:
                self.notes.first_ends.setdefault(row["id"], status)
        states = Counter(row["status"] for row in rows)
        kills = Counter(kill.part.value for kill in self.notes.kills)
        self._show(
            f"{self._now() - self._started:4.0f} s  created {len(self.notes.answered)}/{len(self._plan.jobs)}  "
            + "  ".join(f"{status} {states[status]}" for status in Status)
            + f"  killed {', '.join(f'{part} {count}' for part, count in kills.items()) or 'nothing yet'}"
        )

    async def _until_ended(self, within_seconds: float) -> None:
        """Until everything that was answered was seen to have ended. What has not by then is for the checks to tell."""
        wanted = {*self.notes.answered.values(), *filter(None, [self.notes.fresh])}
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                pipelines = set(self.notes.pipelines.values())
                while not (  # noqa: ASYNC110 - what changes is in a database
                    wanted <= self.notes.first_ends.keys() and pipelines <= self.notes.ended_pipelines
                ):
                    await asyncio.sleep(POLL_EVERY_SECONDS)

    async def _sleep_until(self, moment: float) -> None:
        await asyncio.sleep(max(self._started + moment - self._now(), 0))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
