"""Compares the rows with their runs, and repairs what a row or a run has lost."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.heartbeat import heartbeating
from reelay.catalog.catalog import Catalog
from reelay.catalog.model import KINDS
from reelay.catalog.timing import timing_of
from reelay.db.attempts import submission_of
from reelay.db.credits import orphaned_holds
from reelay.db.deliveries import delete_old_deliveries
from reelay.db.engine import Sessions
from reelay.db.external import app_of, external_requests, take_over
from reelay.db.generations import TIMING, cancel_generation, fail_generation, generation_of
from reelay.db.ledger_audit import audit_ledger
from reelay.db.outgoing import delete_old_events
from reelay.db.reconciliation import (
    StaleGeneration,
    accepted_beside,
    claim_repair,
    end_orphaned_hold,
    stale_generations,
)
from reelay.db.tables import AttemptState, GenerationJob
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import JobType, Origin
from reelay.domain.provider_words import told_to_user
from reelay.domain.reconciliation import Reconciled, Repair, Run, RunState, SubmissionState, decide, is_overdue
from reelay.providers.errors import ProviderError
from reelay.providers.registry import Providers
from reelay.settings import Settings

AT_ONCE = 25
HEARTBEAT = timedelta(seconds=5)
FAILED = "failed"
"""Rows that could not be handled: beside the fields of `Reconciled`."""
DELIVERIES_KEPT = timedelta(days=30)
EVENTS_KEPT = timedelta(days=30)
BATCH, BATCHES_AT_MOST = 500, 20

log = structlog.get_logger()


class Runs(Protocol):
    """The runs of generations, as far as a repair needs them."""

    async def describe(self, generation_id: UUID) -> Run: ...

    async def start(self, job: GenerationJob) -> None:
        """The first run. Safe to repeat."""

    async def resume(self, job: GenerationJob, *, poll_first: bool) -> None:
        """Another run after one that is over or lost; `poll_first`: it asks the provider before it waits."""

    async def give_up(self, generation_id: UUID) -> None:
        """Terminate a run whose code cannot go on."""


class ReconciliationActivities:
    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        providers: Providers,
        runs: Runs,
        catalog: Catalog,
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._providers = providers
        self._runs = runs
        self._catalog = catalog

    @activity.defn
    async def reconcile(self, grace: timedelta) -> Reconciled:
        """Check every open generation whose row has not changed for the grace period. Never submits anything.

        What another backend has submitted is taken over first, and then checked like the rest. Also deletes old webhook
        deliveries, and audits the ledger.

        A row that cannot be handled, like that of a newer version, is logged and keeps no other waiting; that there was
        one fails the activity in the end. An attempt whose worker died is continued after its last page.
        """
        last, found = progress_of_earlier_attempt()
        async with heartbeating(*progress(last, found), every=HEARTBEAT) as heartbeat:
            if last is None:
                await self._take_over_external(grace, found)
            while page := await self._next_page(grace, last):
                await asyncio.gather(*(self._handle(stale.job.id, self._check(stale), found) for stale in page))
                last = page[-1].job.id
                heartbeat.change(*progress(last, found))
            found["deliveries_deleted"] += await self._delete_old_deliveries()
            await self._delete_old_events()
            await self._end_orphaned_holds(found)
            await self._audit_ledger()
        if failed := found.pop(FAILED, 0):
            # The next pass tries again. Rows that this version cannot read would fail at once.
            raise ApplicationError(f"{failed} rows could not be handled; the log has them", non_retryable=True)
        return Reconciled(**found)

    async def _handle(self, row: UUID, work: Awaitable[Sequence[str]], found: Counter[str]) -> None:
        """Count in what the work returns."""
        try:
            found.update(await work)
        except Exception:
            log.error("row_not_reconciled", job_id=str(row), exc_info=True)
            found[FAILED] += 1

    async def _take_over_external(self, grace: timedelta, found: Counter[str]) -> None:
        """Requests that another backend submitted are ours to follow from now on."""
        last = None
        while True:
            async with self._sessions() as session:
                page = await external_requests(session, unchanged_for=grace, after=last, limit=BATCH)
            for job in page:
                await self._handle(job.id, self._take_over(job), found)
            if len(page) < BATCH:
                return
            last = page[-1].id

    async def _take_over(self, job: GenerationJob) -> list[str]:
        model = self._catalog.closest(job.model, job.input_params, kind=KINDS.get(JobType(job.job_type)))
        generation = replace(
            generation_of(job), model=job.model or model.name, endpoint=app_of(job) or job.endpoint or model.endpoint
        )
        try:
            submission = self._providers[generation.provider].recover(
                endpoint=generation.endpoint, request_id=str(job.provider_request_id), attempt=1
            )
        except ProviderError as error:
            log.warning("external_request_not_followed", job_id=str(job.id), error=str(error))
            return []
        timing = TIMING.dump_python(timing_of(model, self._settings), mode="json")
        async with self._sessions.begin() as session:
            if await take_over(session, generation, submission, timing):
                return ["taken_over"]
        log.warning("external_request_taken", job_id=str(job.id), request_id=job.provider_request_id)
        return []

    async def _delete_old_deliveries(self) -> int:
        """Of the delivery log, in batches that lock nothing for long; what is left goes with the next pass."""
        deleted = 0
        for _ in range(BATCHES_AT_MOST):
            async with self._sessions.begin() as session:
                batch = await delete_old_deliveries(session, older_than=DELIVERIES_KEPT, at_most=BATCH)
            deleted += batch
            if batch < BATCH:
                break
        return deleted

    async def _delete_old_events(self) -> None:
        """Of outgoing webhooks, as `_delete_old_deliveries` does those of inbound ones."""
        for _ in range(BATCHES_AT_MOST):
            async with self._sessions.begin() as session:
                if await delete_old_events(session, older_than=EVENTS_KEPT, at_most=BATCH) < BATCH:
                    break

    async def _end_orphaned_holds(self, found: Counter[str]) -> None:
        """Those of ended generations whose credits were still held."""
        async with self._sessions() as session:
            orphaned = await orphaned_holds(session)
        for generation_id in orphaned:
            await self._handle(generation_id, self._end_orphaned_hold(generation_id), found)

    async def _end_orphaned_hold(self, generation_id: UUID) -> list[str]:
        async with self._sessions.begin() as session:
            return ["holds_ended"] * await end_orphaned_hold(session, generation_id)

    async def _audit_ledger(self) -> None:
        async with self._sessions.begin() as session:
            drift = await audit_ledger(session)
        if drift:
            log.error("ledger_drift_found", accounts=len({each.user_id for each in drift}))

    async def _next_page(self, grace: timedelta, last: UUID | None) -> list[StaleGeneration]:
        async with self._sessions() as session:
            return await stale_generations(session, unchanged_for=grace, after=last, limit=AT_ONCE)

    async def _check(self, stale: StaleGeneration) -> list[str]:
        """The fields of `Reconciled` that this generation counts in."""
        run = await self._runs.describe(stale.job.id)
        repair = Repair.FAIL if run.broken else decide(run.state, _submission_state(stale))
        if repair is Repair.LEAVE or not await self._claim(stale, run, repair):
            return _left(stale, run)
        match repair:
            case Repair.START:
                await self._runs.start(stale.job)
            case Repair.RESUME:
                await self._runs.resume(stale.job, poll_first=_submission_state(stale) is SubmissionState.ACCEPTED)
            case _:
                if run.broken:
                    await self._runs.give_up(stale.job.id)
                if run.broken or run.state in (RunState.STOPPED, RunState.TIMED_OUT):
                    log.error("run_did_not_end_its_job", job_id=str(stale.job.id), run=run.state, reason=run.end_reason)
                await self._withdraw(stale)
                await self._end(stale, run, repair)
                return ["checked", "ended"]
        return ["checked", repair.value]

    async def _claim(self, stale: StaleGeneration, run: Run, repair: Repair) -> bool:
        """Write down what is about to be done. One that dies after this is claimed again after the grace period."""
        async with self._sessions.begin() as session:
            return await claim_repair(session, stale.job, f"Reconciled: {_describe_repair(stale, run, repair)}")

    async def _withdraw(self, stale: StaleGeneration) -> None:
        """A best effort, as in the workflow: without the provider's answer the generation ends all the same."""
        async with self._sessions() as session:
            attempts = list(await accepted_beside(session, stale.job))
        if stale.attempt and stale.attempt.state == AttemptState.ACCEPTED:
            attempts.append(stale.attempt)
        for attempt in attempts:
            try:
                await self._providers[attempt.provider].cancel(submission_of(attempt))
            except ProviderError as error:
                log.warning("provider_cancel_failed", job_id=str(stale.job.id), error=str(error))

    async def _end(self, stale: StaleGeneration, run: Run, repair: Repair) -> None:
        async with self._sessions.begin() as session:
            if repair is Repair.CANCEL:
                await cancel_generation(session, stale.job.id, "Canceled by an operator")
            else:
                failure = run.failure or _failure(run)
                reason = told_to_user(failure, stale.job.arguments, hidden=self._settings.account_names)
                await fail_generation(session, stale.job.id, failure, reason=reason)


def progress(last: UUID | None, found: Counter[str]) -> tuple[str | None, dict[str, int]]:
    """For the heartbeats: the last row that was checked, and what was found so far."""
    return str(last) if last else None, dict(found)


def progress_of_earlier_attempt() -> tuple[UUID | None, Counter[str]]:
    details = activity.info().heartbeat_details
    if not details:
        return None, Counter()
    last, found = details
    return UUID(last) if last else None, Counter(found)


def _submission_state(stale: StaleGeneration) -> SubmissionState:
    match stale.attempt.state if stale.attempt else None:
        case None | AttemptState.REFUSED | AttemptState.INHERITED | AttemptState.EXPIRED:
            return SubmissionState.NONE
        case AttemptState.ACCEPTED:
            return SubmissionState.ACCEPTED
        case _:
            return SubmissionState.UNCERTAIN


def _left(stale: StaleGeneration, run: Run) -> list[str]:
    job = stale.job
    overdue = is_overdue(job.created_at, job.submitted_at, generation_of(job).timing, datetime.now(UTC))
    return ["checked", "left", *["failing"] * run.failing, *["overdue"] * overdue]


def _describe_repair(stale: StaleGeneration, run: Run, repair: Repair) -> str:
    match repair:
        case Repair.START:
            return "it had no workflow; starting it"
        case Repair.RESUME if run.state is RunState.UNKNOWN and stale.job.origin == Origin.EXTERNAL:
            return "another backend has submitted it; following its request"
        case Repair.RESUME:
            how = "lost" if run.state is RunState.UNKNOWN else f"over ({run.state})"
            return f"its workflow was {how}; starting another, which follows what was sent before"
        case _:
            return f"{_what_stopped(run)} without ending the job"


def _what_stopped(run: Run) -> str:
    if run.broken:
        return "its workflow failed again and again, and was given up"
    return f"its workflow was {run.state}" + (f" ({run.end_reason})" if run.end_reason else "")


def _failure(run: Run) -> Failure:
    if run.broken or run.state in (RunState.STOPPED, RunState.TIMED_OUT):
        return Failure(code=FailureCode.RUN_STOPPED, message=_what_stopped(run))
    return Failure(
        code=FailureCode.UNKNOWN_OUTCOME,
        message="Its workflow has ended, and the database does not know how. It was not sent again; you can retry.",
    )
