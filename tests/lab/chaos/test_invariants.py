"""Every check holds for a healthy run, and each is able to fail: a violation of its own is planted."""

from collections.abc import Mapping
from dataclasses import replace
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

from lab.chaos.evidence import ArchivedFile, Attempt, Evidence, JobTrace, Kill
from lab.chaos.invariants import CHECKS, violations
from lab.chaos.plan import Part, Times
from lab.chaos.report import Report
from reelay.db.credits import Drift
from reelay.domain.failure import FailureCode
from reelay.domain.generation import Status
from reelay.domain.outgoing import EventType
from tests.lab.chaos.books import (
    DIGEST,
    FILM,
    HOLD,
    RELEASE,
    SETTLE,
    after,
    completed,
    ended,
    events,
    evidence,
    planned,
    request,
    row,
    told,
)

FILMS = "films are whole or have a reason"
JOB = completed(1)
PAID = JOB.entries
FILE = JOB.files[0]
ALL_OF_IT = replace(SETTLE, available=0, charged=40)


def costing(cents: int, *, charged: int) -> JobTrace:
    """40 cents were held."""
    found = replace(row(1, Status.COMPLETED), cost_cents=cents, charged_cents=charged)
    return replace(JOB, row=found, entries=(HOLD, ALL_OF_IT))


def with_file(file: ArchivedFile) -> Evidence:
    return evidence(replace(JOB, files=(file,)))


def with_film(**changed: Any) -> Evidence:
    return replace(evidence(), pipelines=(replace(FILM, **changed),))


def with_slots(slots: int) -> Evidence:
    """Four requests are at the provider at once."""
    healthy = evidence()
    return replace(healthy, plan=healthy.plan.model_copy(update={"times": Times(slots=slots)}))


PLANTED: Mapping[str, tuple[str, Evidence]] = {
    "a film without an answer": (FILMS, with_film(id=None)),
    "a film that never ends": (FILMS, with_film(status="running")),
    "a film that is missing": (FILMS, with_film(films=0)),
    "a film made twice": (FILMS, with_film(films=2)),
    "a step bought twice": (FILMS, with_film(posts={"video": 2, "sound": 1})),
    "a film that failed for no reason": (FILMS, with_film(status="failed")),
    "a film that holds credits": (FILMS, with_film(held_cents=40)),
    "a job without an answer": ("nothing lost", evidence(JobTrace(planned=planned(1), id=None))),
    "an answered job without a row": ("nothing lost", evidence(JobTrace(planned=planned(1), id=JOB.id))),
    "a job that never ends": (
        "nothing stuck",
        evidence(
            replace(JOB, first_end=None, row=row(1, Status.IN_PROGRESS), events=(), entries=(HOLD,), files=(), told=())
        ),
    ),
    "a workflow that runs on": ("nothing stuck", replace(evidence(), still_running=1)),
    "two purchases": ("nothing double", evidence(replace(JOB, requests=(request(1), request(2))))),
    "a purchase for nobody": ("nothing strange", replace(evidence(), strangers=["somebody"])),
    "no file": ("files are what was served", evidence(replace(JOB, files=()))),
    "a file that is not in the archive": ("files are what was served", with_file(replace(FILE, found=None))),
    "a file cut short": ("files are what was served", with_file(replace(FILE, found=(2, "cd" * 32)))),
    "another job's file": (
        "files are what was served",
        with_file(replace(FILE, sha256="cd" * 32, found=(3, "cd" * 32))),
    ),
    "an event after the end": (
        "ends are for ever",
        evidence(replace(JOB, events=events(Status.COMPLETED, Status.IN_PROGRESS))),
    ),
    "two ends": ("ends are for ever", evidence(replace(JOB, events=events(Status.FAILED, Status.COMPLETED)))),
    "an end without its event": ("ends are for ever", evidence(replace(JOB, events=events(Status.SUBMITTED)))),
    "another end than was seen": ("ends are for ever", evidence(replace(JOB, first_end=Status.FAILED))),
    "a job without faults that failed": (
        "every end has a reason",
        evidence(ended(JOB, Status.FAILED, FailureCode.DEADLINE_EXCEEDED)),
    ),
    "a job that failed for another reason than its fault's": (
        "every end has a reason",
        evidence(ended(completed(1, "fail=422"), Status.FAILED, FailureCode.BAD_MEDIA)),
    ),
    "a job that completed against its fault": ("every end has a reason", evidence(completed(1, "media=404"))),
    "canceled by nobody": ("every end has a reason", evidence(ended(JOB, Status.CANCELED))),
    "unknown although nothing was lost": (
        "every end has a reason",
        evidence(ended(JOB, Status.FAILED, FailureCode.UNKNOWN_OUTCOME, requests=(request(1, told_at=None),))),
    ),
    "unknown although the provider called": (
        "every end has a reason",
        evidence(ended(completed(1, "submit=drop"), Status.FAILED, FailureCode.UNKNOWN_OUTCOME)),
    ),
    "a job without a hold": ("credits are held once and end once", evidence(replace(JOB, entries=()))),
    "credits that stay held": (
        "credits are held once and end once",
        evidence(ended(JOB, Status.CANCELED, cancel_sent=True, entries=(HOLD,))),
    ),
    "settled and released": ("credits are held once and end once", evidence(replace(JOB, entries=(*PAID, RELEASE)))),
    "released although it completed": (
        "credits are held once and end once",
        evidence(replace(JOB, entries=(HOLD, RELEASE))),
    ),
    "another amount than the price": (
        "credits are held once and end once",
        evidence(replace(JOB, entries=(replace(HOLD, held=41, available=-41), SETTLE))),
    ),
    "an entry out of nothing": ("books balance", evidence(replace(JOB, entries=(HOLD, replace(SETTLE, available=11))))),
    "an account that says something else": (
        "books balance",
        replace(evidence(), drift=[Drift(UUID(int=1), "held", 5, 0)]),
    ),
    "charged more than the cost": (
        "what completed is paid",
        evidence(replace(JOB, entries=(HOLD, ALL_OF_IT))),
    ),
    "charged for more than was held": (
        "what completed is paid",
        evidence(costing(60, charged=60)),
    ),
    "a cost beyond the hold without a reason": (
        "what completed is paid",
        evidence(costing(60, charged=40)),
    ),
    "charged for what was not billed": (
        "what completed is paid",
        evidence(replace(JOB, requests=(request(1, billed=False),))),
    ),
    "a crash of the API": ("outages are orderly", replace(evidence(), oddities=["POST /api/jobs: HTTP 500"])),
    "an end that nobody was told of": ("every end is told", evidence(replace(JOB, told=JOB.told[:1]))),
    "an end that was not": (
        "every end is told",
        evidence(replace(JOB, told=(*JOB.told, told(1, EventType.JOB_FAILED)))),
    ),
    "an end under two ids": (
        "every end is told",
        evidence(replace(JOB, told=(*JOB.told, told(1, EventType.JOB_COMPLETED, under=1)))),
    ),
    "a webhook that is not signed": ("every end is told", replace(evidence(), unsigned=1)),
    "a webhook that waits": ("every end is told", replace(evidence(), untold=1)),
    "a fresh job that fails": (
        "life goes on",
        replace(evidence(), fresh=row(999, Status.FAILED, FailureCode.PROVIDER_ERROR)),
    ),
    "more requests at once than slots": ("slots are kept", with_slots(3)),
    "a slot that leaked": ("slots are kept", replace(evidence(), slots_held=1)),
    "no fresh job": ("life goes on", replace(evidence(), fresh=None)),
    "a run that survives by failing everything": (
        "life goes on",
        evidence(
            *(ended(completed(number, "fail=500"), Status.FAILED, FailureCode.PROVIDER_ERROR) for number in range(1, 4))
        ),
    ),
}


def test_a_healthy_run_violates_nothing() -> None:
    assert violations(evidence(JOB)) == {name: [] for name in CHECKS}
    assert Report(evidence(JOB)).holds


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_violation_is_found_by_its_check_alone(what: str) -> None:
    check, planted = PLANTED[what]
    assert [name for name, wrong in violations(planted).items() if wrong] == [check]
    assert not Report(planted).holds


def test_every_check_is_able_to_fail() -> None:
    assert {check for check, _ in PLANTED.values()} == CHECKS.keys()


@pytest.mark.parametrize(
    "job",
    [
        ended(
            completed(1, "submit=drop"),
            Status.FAILED,
            FailureCode.UNKNOWN_OUTCOME,
            requests=(request(1, told_at=None),),
        ),
        ended(completed(1, "submit=500"), Status.FAILED, FailureCode.UNKNOWN_OUTCOME, requests=()),
        ended(completed(1, "latency=10m"), Status.FAILED, FailureCode.DEADLINE_EXCEEDED),
        ended(
            completed(1, "latency=10m", "webhook=early"),
            Status.FAILED,
            FailureCode.UNKNOWN_OUTCOME,
            requests=(request(1, told_at=None),),
        ),
        ended(completed(1, "submit=403-locked"), Status.FAILED, FailureCode.WAIT_EXPIRED, requests=()),
        ended(completed(1, "media=expired"), Status.FAILED, FailureCode.RESULT_EXPIRED),
        ended(completed(1, "fail=422"), Status.CANCELED, cancel_sent=True),
        completed(1, "submit=drop", "webhook=late:5s"),
        completed(1, "media=404:1"),
    ],
    ids=lambda job: f"{', '.join(job.planned.faults)} ends as {job.end}",
)
def test_an_end_that_its_fault_explains_is_right(job: JobTrace) -> None:
    assert violations(evidence(job)) == {name: [] for name in CHECKS}


@pytest.mark.parametrize(("at", "right"), [(0.7, True), (30, False)])
def test_an_unknown_outcome_is_right_when_a_kill_met_the_submission(at: float, right: bool) -> None:
    silent = ended(
        completed(1, "webhook=lost"),
        Status.FAILED,
        FailureCode.UNKNOWN_OUTCOME,
        attempts=(Attempt(sent_at=after(0.5), answered_at=after(1)),),
        requests=(request(1, told_at=None),),
    )
    assert Report(evidence(silent, kill=Kill(Part.WORKER, after(at)))).holds is right


def test_the_table_names_each_write_off_with_its_reason_and_each_violation() -> None:
    terminal = StringIO()
    orphan = ended(completed(1), Status.FAILED, FailureCode.ARCHIVE_FAILED)
    damaged = replace(completed(2), files=(replace(FILE, found=(3, DIGEST[::-1])),))
    Report(evidence(orphan, damaged)).show(Console(file=terminal, width=200))
    table = terminal.getvalue()
    assert "failed: provider_rejected: the provider refused the input after computing on it" in table
    assert "failed: archive_failed: NO RIGHT REASON" in table
    assert "a.png is damaged" in table
    assert "files are what was served" in table


def test_what_the_provider_counted_twice_is_written_off() -> None:
    twice = replace(costing(80, charged=40), planned=completed(1, "units=double").planned)
    assert not any(violations(evidence(twice)).values())
