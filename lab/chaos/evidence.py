"""What is known after a run: from the driver's notes, the database, the simulator and the archive's files."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import httpx
from pydantic import TypeAdapter
from temporalio.client import Client

from lab.chaos.plan import Part, Plan, PlannedJob, PlannedPipeline
from lab.chaos.receiver import Receiver, Told
from lab.simulator.control import SeenRequest
from reelay.cli.data_dir import RunningStack
from reelay.db.credits import Drift, ledger_drift
from reelay.db.engine import make_engine, make_sessions
from reelay.db.slots import HOLDS_SLOT
from reelay.db.tables import Phase
from reelay.domain.generation import Status

SETTLING_SECONDS = 15
IN_LINE = f"{HOLDS_SLOT} or status in ('pending', 'submitted', 'in_progress') and waiting_for = 'slot'"
TELLING_SECONDS = 180
REQUESTS = TypeAdapter(list[SeenRequest])
Fact = TypeVar("Fact")


def failed(code: str | None) -> str:
    return f"failed: {code}"


@dataclass(frozen=True)
class Kill:
    part: Part
    at: datetime


@dataclass(kw_only=True)
class Notes:
    """What the driver saw from outside."""

    answered: dict[int, UUID] = field(default_factory=dict)
    """The job's id by the plan's number, once the creating call was answered 2xx."""
    canceled: set[int] = field(default_factory=set)
    """Whose cancellation was sent."""
    oddities: list[str] = field(default_factory=list)
    """Answers that are neither 2xx nor 503, and parts that did not come back."""
    kills: list[Kill] = field(default_factory=list)
    first_ends: dict[UUID, Status] = field(default_factory=dict)
    """The first final status that was seen of a job."""
    pipelines: dict[int, UUID] = field(default_factory=dict)
    """By the plan's number, once the creating call was answered 2xx."""
    ended_pipelines: set[UUID] = field(default_factory=set)
    fresh: UUID | None = None
    """A job created after everything, free of faults."""


@dataclass(frozen=True, kw_only=True)
class Row:
    id: UUID
    status: Status
    stage: str
    error_code: str | None
    request_id: str | None
    completed_at: datetime | None
    price_cents: int
    """Told to the caller, and held."""
    cost_cents: int | None
    """By what the provider counted."""
    charged_cents: int

    @property
    def end(self) -> str:
        """The status, and of a failure its code."""
        return failed(self.error_code) if self.status is Status.FAILED else self.status


@dataclass(frozen=True, kw_only=True)
class Event:
    id: int
    status: Status
    stage: str


@dataclass(frozen=True, kw_only=True)
class Attempt:
    sent_at: datetime
    answered_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of the ledger, in cents: what came to each account, or left it."""

    phase: Phase
    available: int
    held: int
    charged: int
    funding: int = 0


@dataclass(frozen=True, kw_only=True)
class ArchivedFile:
    """As its row tells, and as it lies in the archive: None where it does not."""

    path: str
    size: int
    sha256: str
    found: tuple[int, str] | None
    """Size and SHA-256 of the bytes."""


@dataclass(frozen=True, kw_only=True)
class JobTrace:
    """All that is known of one planned job."""

    planned: PlannedJob
    id: UUID | None
    """None: never answered 2xx."""
    cancel_sent: bool = False
    first_end: Status | None = None
    row: Row | None = None
    events: Sequence[Event] = ()
    """By id."""
    attempts: Sequence[Attempt] = ()
    entries: Sequence[Entry] = ()
    """By id."""
    files: Sequence[ArchivedFile] = ()
    requests: Sequence[SeenRequest] = ()
    """That the provider accepted for it."""
    told: Sequence[Told] = ()
    """What the user's backend was told of it, and answered 2xx."""

    @property
    def name(self) -> str:
        return f"job {self.planned.number} ({self.id}, faults: {', '.join(self.planned.faults) or 'none'})"

    @property
    def end(self) -> str | None:
        return self.row.end if self.row and self.row.status.is_final else None

    @property
    def billed(self) -> int:
        return sum(request.billed for request in self.requests)

    @property
    def billed_cents(self) -> int:
        """What the provider took, as far as its counts and our prices tell."""
        if self.row is None:
            return 0
        cost = self.row.cost_cents if self.row.status is Status.COMPLETED else self.row.price_cents
        return self.billed * (cost or 0)

    @property
    def charged_cents(self) -> int:
        return sum(entry.charged for entry in self.entries)

    @property
    def held_cents(self) -> int:
        return sum(entry.held for entry in self.entries)

    @property
    def overrun_cents(self) -> int:
        """What a completed job cost beyond the price that was held for it: nobody is charged for that."""
        return max((self.row.cost_cents or 0) - self.row.price_cents, 0) if self.row else 0

    @property
    def adopted(self) -> bool:
        return bool(self.row and self.row.request_id) and any(event.stage == "uncertain" for event in self.events)


@dataclass(frozen=True, kw_only=True)
class PipelineTrace:
    """All that is known of one planned pipeline."""

    planned: PlannedPipeline
    id: UUID | None
    """None: never answered 2xx."""
    status: str | None = None
    ends: Mapping[str, str] = field(default_factory=dict)
    """How the job of each step has ended, or where it stands."""
    posts: Mapping[str, int] = field(default_factory=dict)
    """That the provider accepted for each step."""
    held_cents: int = 0
    films: int = 0

    @property
    def name(self) -> str:
        return f"film {self.planned.number} ({self.id})"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    plan: Plan
    jobs: Sequence[JobTrace]
    pipelines: Sequence[PipelineTrace]
    kills: Sequence[Kill]
    oddities: Sequence[str]
    strangers: Sequence[str]
    """Rows that nobody created, and provider requests of no job."""
    fresh: Row | None
    still_running: int
    """Workflows."""
    slots_held: int
    """At providers, after all has ended, and jobs that still wait for one."""
    drift: Sequence[Drift]
    """Between the accounts, the ledger and the living jobs."""
    unsigned: int
    """Requests to the user's backend that its secret had not signed."""
    untold: int
    """Deliveries to it that still wait, or were given up."""


async def gather(plan: Plan, notes: Notes, stack: RunningStack, archive: Path, receiver: Receiver) -> Evidence:
    requests = await settled_requests(stack)
    connection = await asyncpg.connect(stack.database_admin_url)
    try:
        untold = await _untold(connection)
        books = await _Books.read(connection, archive)
        slots_held = int(await connection.fetchval(f"select count(*) from generation_jobs where {IN_LINE}"))
    finally:
        await connection.close()
    told: defaultdict[UUID, list[Told]] = defaultdict(list)
    for each in receiver.told:
        told[each.job_id].append(each)
    by_job: defaultdict[str, list[SeenRequest]] = defaultdict(list)
    for request in requests:
        by_job[request.job].append(request)
    of_pipelines = {step.job_id for step in books.steps if step.pipeline_id in notes.pipelines.values()}
    known = {*map(str, notes.answered.values()), *map(str, of_pipelines), str(notes.fresh)}
    return Evidence(
        plan=plan,
        jobs=[_trace(job, notes, books, by_job, told) for job in plan.jobs],
        pipelines=[_pipeline_trace(pipeline, notes, books, by_job) for pipeline in plan.pipelines],
        kills=notes.kills,
        oddities=notes.oddities,
        strangers=sorted({*map(str, books.rows), *by_job} - known),
        fresh=books.rows.get(notes.fresh) if notes.fresh else None,
        still_running=await _running_workflows(stack),
        slots_held=slots_held,
        drift=await _drift(stack),
        unsigned=receiver.unsigned,
        untold=untold,
    )


async def _untold(connection: asyncpg.Connection) -> int:
    """Once what waits had its time: the schedule's, and that of a claim whose worker was killed."""
    waiting = "select count(*) from outgoing_deliveries where state <> 'delivered'"
    for _ in range(TELLING_SECONDS):
        if (count := int(await connection.fetchval(waiting))) == 0:
            break
        await asyncio.sleep(1)
    return count


async def _drift(stack: RunningStack) -> Sequence[Drift]:
    engine = make_engine(stack.database_admin_url, pool_size=1)
    try:
        async with make_sessions(engine)() as session:
            return await ledger_drift(session)
    finally:
        await engine.dispose()


async def settled_requests(stack: RunningStack) -> list[SeenRequest]:
    """The simulator's requests, once it has no more webhook to deliver of those that ended."""
    async with httpx.AsyncClient(base_url=stack.simulator_url or "", timeout=60, trust_env=False) as client:
        for _ in range(SETTLING_SECONDS // 3):
            requests = REQUESTS.validate_json((await client.get("/__sim/requests")).content)
            if all(request.webhook_settled for request in requests if request.ended):
                break
            await asyncio.sleep(3)
    return requests


async def _running_workflows(stack: RunningStack) -> int:
    """A run closes a moment after its row, and is listed as closed a moment after that."""
    client = await Client.connect(stack.temporal_address)
    for _ in range(SETTLING_SECONDS):
        running = (await client.count_workflows('ExecutionStatus = "Running"')).count
        if running == 0:
            break
        await asyncio.sleep(1)
    return running


@dataclass(frozen=True, kw_only=True)
class Step:
    """Of a pipeline."""

    pipeline_id: UUID
    id: str
    job_id: UUID


@dataclass(frozen=True, kw_only=True)
class _Books:
    rows: Mapping[UUID, Row]
    events: Mapping[UUID, list[Event]]
    attempts: Mapping[UUID, list[Attempt]]
    entries: Mapping[UUID, list[Entry]]
    files: Mapping[UUID, list[ArchivedFile]]
    pipelines: Mapping[UUID, str]
    """Their statuses."""
    steps: Sequence[Step]

    @classmethod
    async def read(cls, connection: asyncpg.Connection, archive: Path) -> "_Books":
        rows = await connection.fetch(
            "select id, status, stage, error_code, fal_request_id, completed_at, estimated_cost_cents, "
            "actual_cost_cents, charged_cents from generation_jobs"
        )
        events = await connection.fetch("select job_id, id, status, stage from job_events order by id")
        attempts = await connection.fetch("select job_id, sent_at, answered_at from submission_attempts")
        entries = await connection.fetch("select * from credit_entries where job_id is not null order by id")
        files = await connection.fetch("select job_id, file_path, file_size, sha256 from video_files order by position")
        pipelines = await connection.fetch("select id, status from pipelines")
        steps = await connection.fetch("select pipeline_id, id, job_id from pipeline_steps")
        return cls(
            rows={row["id"]: _row(row) for row in rows},
            pipelines={row["id"]: row["status"] for row in pipelines},
            steps=[Step(**row) for row in steps],
            events=_by_job(
                (row["job_id"], Event(id=row["id"], status=Status(row["status"]), stage=row["stage"])) for row in events
            ),
            attempts=_by_job(
                (row["job_id"], Attempt(sent_at=row["sent_at"], answered_at=row["answered_at"])) for row in attempts
            ),
            entries=_by_job((row["job_id"], _entry(row)) for row in entries),
            files=await asyncio.to_thread(lambda: _by_job((row["job_id"], _file(row, archive)) for row in files)),
        )


def _by_job(pairs: Iterable[tuple[UUID, Fact]]) -> Mapping[UUID, list[Fact]]:
    found: defaultdict[UUID, list[Fact]] = defaultdict(list)
    for job, value in pairs:
        found[job].append(value)
    return found


def _row(row: Mapping[str, Any]) -> Row:
    return Row(
        id=row["id"],
        status=Status(row["status"]),
        stage=row["stage"],
        error_code=row["error_code"],
        request_id=row["fal_request_id"],
        completed_at=row["completed_at"],
        price_cents=row["estimated_cost_cents"],
        cost_cents=row["actual_cost_cents"],
        charged_cents=row["charged_cents"],
    )


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(
        phase=Phase(row["phase"]),
        available=row["available_cents"],
        held=row["held_cents"],
        charged=row["charged_cents"],
        funding=row["funding_cents"],
    )


def _file(row: Mapping[str, Any], archive: Path) -> ArchivedFile:
    try:
        content = (archive / row["file_path"]).read_bytes()
    except FileNotFoundError:
        found = None
    else:
        found = len(content), hashlib.sha256(content).hexdigest()
    return ArchivedFile(path=row["file_path"], size=row["file_size"], sha256=row["sha256"], found=found)


def _trace(
    planned: PlannedJob,
    notes: Notes,
    books: _Books,
    requests: Mapping[str, Sequence[SeenRequest]],
    told: Mapping[UUID, Sequence[Told]],
) -> JobTrace:
    job = notes.answered.get(planned.number)
    if job is None:
        return JobTrace(planned=planned, id=None)
    return JobTrace(
        planned=planned,
        id=job,
        cancel_sent=planned.number in notes.canceled,
        first_end=notes.first_ends.get(job),
        row=books.rows.get(job),
        events=books.events.get(job, ()),
        attempts=books.attempts.get(job, ()),
        entries=books.entries.get(job, ()),
        files=books.files.get(job, ()),
        requests=requests.get(str(job), ()),
        told=told.get(job, ()),
    )


def _pipeline_trace(
    planned: PlannedPipeline, notes: Notes, books: _Books, requests: Mapping[str, Sequence[SeenRequest]]
) -> PipelineTrace:
    pipeline = notes.pipelines.get(planned.number)
    if pipeline is None:
        return PipelineTrace(planned=planned, id=None)
    jobs = {step.id: step.job_id for step in books.steps if step.pipeline_id == pipeline}
    return PipelineTrace(
        planned=planned,
        id=pipeline,
        status=books.pipelines.get(pipeline),
        ends={name: row.end for name, job in jobs.items() if (row := books.rows.get(job))},
        posts={name: len(requests.get(str(job), ())) for name, job in jobs.items()},
        held_cents=sum(entry.held for job in jobs.values() for entry in books.entries.get(job, ())),
        films=sum(file.found is not None for file in books.files.get(jobs["film"], ())) if "film" in jobs else 0,
    )
