"""Evidence of a run in which every promise held, to plant violations in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from lab.chaos.evidence import ArchivedFile, Attempt, Entry, Event, Evidence, JobTrace, Kill, PipelineTrace, Row
from lab.chaos.plan import Part, Plan, PlannedJob, PlannedPipeline, Times
from lab.chaos.receiver import Told
from lab.simulator.control import SeenFile, SeenRequest
from lab.simulator.requests import Delivery, QueueStatus
from reelay.db.tables import Phase
from reelay.domain.failure import FailureCode
from reelay.domain.generation import Status
from reelay.domain.outgoing import EventType

START = datetime(2030, 1, 1, tzinfo=UTC)
DIGEST = "ab" * 32
HOLD = Entry(phase=Phase.HOLD, available=-40, held=40, charged=0)
SETTLE = Entry(phase=Phase.SETTLE, available=10, held=-40, charged=30)
RELEASE = Entry(phase=Phase.RELEASE, available=40, held=-40, charged=0)


FILM = PipelineTrace(
    planned=PlannedPipeline(number=1, at=0),
    id=UUID(int=1),
    status="completed",
    ends={"video": "completed", "sound": "completed", "film": "completed"},
    posts={"video": 1, "sound": 1, "film": 0},
    films=1,
)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def planned(number: int, *faults: str) -> PlannedJob:
    return PlannedJob(number=number, at=number, path="", body={}, faults=faults, cancel_after=None)


def request(number: int, *, billed: bool = True, told_at: float | None = 2) -> SeenRequest:
    """Acknowledged by us at `told_at`; None: it never called, or was refused."""
    return SeenRequest(
        request_id=f"request-{number}",
        endpoint="fal-ai/flux/dev",
        input={},
        webhook_url=None,
        job=str(UUID(int=number)),
        status=QueueStatus.COMPLETED,
        payloads_deleted=False,
        created=after(1),
        ended=after(2),
        billed=billed,
        deliveries=[Delivery(at=after(told_at or 2), status_code=200 if told_at else 401)],
        webhook_settled=True,
        media=[SeenFile(name="output.png", size=3, sha256=DIGEST, downloads=1)],
    )


def completed(number: int, *faults: str) -> JobTrace:
    return JobTrace(
        planned=planned(number, *faults),
        id=UUID(int=number),
        first_end=Status.COMPLETED,
        row=row(number, Status.COMPLETED),
        events=events(Status.PENDING, Status.SUBMITTED, Status.COMPLETED),
        attempts=(Attempt(sent_at=after(0.5), answered_at=after(1)),),
        entries=(HOLD, SETTLE),
        files=(ArchivedFile(path="a.png", size=3, sha256=DIGEST, found=(3, DIGEST)),),
        requests=(request(number),),
        told=(told(number, EventType.JOB_SUBMITTED), told(number, EventType.JOB_COMPLETED)),
    )


def told(number: int, kind: EventType, *, under: int = 0) -> Told:
    return Told(UUID(int=1000 * number + 10 * under + [*EventType].index(kind)), kind, UUID(int=number))


def ended(job: JobTrace, status: Status, code: FailureCode | None = None, **more: Any) -> JobTrace:
    """The same job with another end and without files."""
    changed = replace(
        job,
        first_end=status,
        row=row(job.planned.number, status, code),
        events=events(Status.PENDING, status),
        entries=(HOLD, RELEASE),
        files=(),
        told=(told(job.planned.number, EventType(f"job.{status}")),) if status.is_final else (),
    )
    return replace(changed, **more)


def row(number: int, status: Status, code: FailureCode | None = None) -> Row:
    return Row(
        id=UUID(int=number),
        status=status,
        stage="done" if status.is_final else "generating",
        error_code=code,
        request_id=f"request-{number}",
        completed_at=after(10) if status.is_final else None,
        price_cents=40,
        cost_cents=30 if status is Status.COMPLETED else 0,
        charged_cents=30 if status is Status.COMPLETED else 0,
    )


def events(*statuses: Status) -> tuple[Event, ...]:
    return tuple(Event(id=number, status=status, stage="") for number, status in enumerate(statuses))


def evidence(*jobs: JobTrace, kill: Kill | None = None) -> Evidence:
    """A healthy run of four jobs, and these."""
    healthy = (
        *(completed(number) for number in (901, 902, 903)),
        ended(completed(904, "fail=422"), Status.FAILED, FailureCode.PROVIDER_REJECTED),
    )
    return Evidence(
        plan=Plan(seed=1, times=Times(), jobs=tuple(job.planned for job in (*healthy, *jobs)), kills=()),
        jobs=(*healthy, *jobs),
        pipelines=(FILM,),
        kills=[kill] if kill else [Kill(Part.API, after(3))],
        oddities=(),
        strangers=(),
        fresh=row(999, Status.COMPLETED),
        still_running=0,
        slots_held=0,
        drift=(),
        unsigned=0,
        untold=0,
    )
