"""What must hold after every run. A check takes the evidence and says in words each thing that is wrong."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import accumulate

from lab.chaos.evidence import Evidence, JobTrace
from lab.chaos.reasons import right_ends
from reelay.db.tables import Phase
from reelay.domain.generation import Status
from reelay.domain.outgoing import EventType

Check = Callable[[Evidence], Iterator[str]]

COUNTED_TWICE = "units=double"
"""The one fault after which a job costs more than was held."""


def nothing_lost(evidence: Evidence) -> Iterator[str]:
    """Every creating call was answered 2xx in the end, and every job that was answered is there."""
    for job in evidence.jobs:
        if job.id is None:
            yield f"{job.name} was never answered"
        elif job.row is None:
            yield f"{job.name} was answered and is not in the database"


def nothing_stuck(evidence: Evidence) -> Iterator[str]:
    """Every job is final, and no workflow runs on."""
    for job in evidence.jobs:
        if job.row and not job.row.status.is_final:
            yield f"{job.name} is still {job.row.status}/{job.row.stage}"
    if evidence.still_running:
        yield f"{evidence.still_running} workflows are still running"


def nothing_double(evidence: Evidence) -> Iterator[str]:
    """Of each job a provider accepted at most one POST; a second provider one only where there is a fallback."""
    for job in evidence.jobs:
        posts = Counter(request.provider for request in job.requests)
        if posts and (max(posts.values()) > 1 or len(posts) > 1 + job.planned.has_fallback):
            yield f"{job.name} was bought {posts.total()} times"


def nothing_strange(evidence: Evidence) -> Iterator[str]:
    """No row that nobody asked for, no purchase for nobody."""
    for stranger in evidence.strangers:
        yield f"{stranger} is a job, or was bought for one, that no answer named"


def files_are_what_was_served(evidence: Evidence) -> Iterator[str]:
    """A completed job's files lie in the archive, byte for byte as the provider served them for its request."""
    for job in evidence.jobs:
        if job.end == Status.COMPLETED:
            yield from (f"{job.name}: {wrong}" for wrong in _wrong_with_files(job))


def _wrong_with_files(job: JobTrace) -> Iterator[str]:
    request_id = job.row.request_id if job.row else None
    served = sorted(
        (file.size, file.sha256)
        for request in job.requests
        if request.request_id == request_id
        for file in request.media
    )
    if not served or served != sorted((file.size, file.sha256) for file in job.files):
        yield f"its files are not those that request {request_id} made"
    for file in job.files:
        if file.found != (file.size, file.sha256):
            yield f"{file.path} is missing from the archive" if file.found is None else f"{file.path} is damaged"


def ends_are_for_ever(evidence: Evidence) -> Iterator[str]:
    """One final event, the last one, and the row says the same; so does whoever looked earlier."""
    for job in evidence.jobs:
        if job.row is None or not job.row.status.is_final:
            continue
        finals = [event for event in job.events if event.status.is_final]
        if len(finals) != 1 or job.events[-1] is not finals[0] or finals[0].status is not job.row.status:
            yield f"{job.name} is {job.row.status}, after the events {', '.join(e.status for e in job.events)}"
        if job.first_end not in (None, job.row.status):
            yield f"{job.name} was seen as {job.first_end} and is {job.row.status}"


def ends_have_a_reason(evidence: Evidence) -> Iterator[str]:
    """Every job ended in a way that its faults, its cancellation or a kill explains; without these it completed."""
    for job in evidence.jobs:
        if job.end is not None and job.end not in (right := right_ends(job, evidence.kills)):
            yield f"{job.name} ended as {job.end}, billed {job.billed}; right: {', '.join(right)}"


def credits_are_held_once_and_end_once(evidence: Evidence) -> Iterator[str]:
    """One hold of the price per job; once it has ended, one settlement if it completed, else one release."""
    for job in evidence.jobs:
        if job.row is None:
            continue
        phases = [entry.phase for entry in job.entries]
        end = Phase.SETTLE if job.row.status is Status.COMPLETED else Phase.RELEASE
        if phases != ([Phase.HOLD, end] if job.row.status.is_final else [Phase.HOLD]):
            yield f"{job.name} is {job.row.status}, and its credits were moved by {', '.join(phases) or 'nothing'}"
        elif job.entries[0].held != job.row.price_cents:
            yield f"{job.name} costs {job.row.price_cents} cents, and {job.entries[0].held} were held"
        elif job.row.status.is_final and job.held_cents:
            yield f"{job.name} has ended, and {job.held_cents} cents are still held"


def books_balance(evidence: Evidence) -> Iterator[str]:
    """Every entry sums to 0, and the accounts say what the entries and the living jobs say."""
    for job in evidence.jobs:
        for entry in job.entries:
            if entry.available + entry.held + entry.charged + entry.funding:
                yield f"{job.name}: the entry of its {entry.phase} does not balance"
    for drift in evidence.drift:
        yield f"{drift.account} of {drift.user_id} is kept as {drift.kept} cents and counted as {drift.counted}"


def what_completed_is_paid(evidence: Evidence) -> Iterator[str]:
    """A user is charged what the provider billed for a completed job, at most what was held. All else that was billed
    has its reason to be written off, here or in `ends_have_a_reason`: billed = charged + written off."""
    for job in evidence.jobs:
        if job.row is None or not any(entry.phase is Phase.SETTLE for entry in job.entries):
            continue
        if not job.billed:
            yield f"{job.name} was not billed, and charged {job.charged_cents} cents"
        shown, due = job.row.charged_cents, (job.row.cost_cents or 0) - job.overrun_cents
        if {job.charged_cents, shown} != {due}:
            yield f"{job.name} cost {job.row.cost_cents} cents; charged {job.charged_cents}, shown {shown}"
        if job.overrun_cents and COUNTED_TWICE not in job.planned.faults:
            yield f"{job.name} cost {job.overrun_cents} cents more than was held, and no fault is the reason"


def outages_are_orderly(evidence: Evidence) -> Iterator[str]:
    """While a part is away the API says 503 or nothing at all, and the part comes back."""
    yield from evidence.oddities


def ends_are_told(evidence: Evidence) -> Iterator[str]:
    """The user's backend is told of every end at least once, under one id, and of no other; all of it signed."""
    for job in evidence.jobs:
        if job.row is None:
            continue
        ends = {(told.type, told.event_id) for told in job.told if told.type != EventType.JOB_SUBMITTED}
        right = {f"job.{job.row.status}"} if job.row.status.is_final else set[str]()
        if {kind for kind, _ in ends} != right or len(ends) != len(right):
            shown = ", ".join(sorted(f"{kind} {event_id}" for kind, event_id in ends)) or "nothing"
            yield f"{job.name} is {job.row.status}, and its user was told {shown}"
        if len({told.event_id for told in job.told}) > 2:
            yield f"{job.name}: its user was told under {len({told.event_id for told in job.told})} ids"
    if evidence.unsigned:
        yield f"{evidence.unsigned} requests to the user's backend were not signed by its secret"
    if evidence.untold:
        yield f"{evidence.untold} deliveries to the user's backend still wait, or were given up"


def films_are_whole_or_have_a_reason(evidence: Evidence) -> Iterator[str]:
    """A pipeline buys each step at most once, ends with one film or with a step that failed, and holds nothing then."""
    for film in evidence.pipelines:
        if film.id is None or film.status is None:
            yield f"{film.name} was never answered, or is not in the database"
            continue
        if twice := [step for step, count in film.posts.items() if count > 1]:
            yield f"{film.name}: bought more than once: {', '.join(twice)}"
        is_failed = film.status == "failed" and any(end.startswith("failed") for end in film.ends.values())
        if not (is_failed or (film.status == "completed" and film.films == 1)):
            yield f"{film.name} is {film.status} with {film.films} films: {film.ends}"
        if film.held_cents:
            yield f"{film.name} is {film.status}, and {film.held_cents} cents are still held"


def slots_are_kept(evidence: Evidence) -> Iterator[str]:
    """With a limit no provider had more requests at once, and none is held by a job that has ended.

    A request of a job that was given up counts until then: its provider may have been asked in vain to stop it.
    """
    if evidence.slots_held:
        yield f"{evidence.slots_held} jobs hold a slot, or wait for one"
    limit = evidence.plan.times.slots
    if limit is None:
        return
    spans = defaultdict[str, list[tuple[datetime, int]]](list)
    for job in evidence.jobs:
        for request in job.requests:
            ends = [end for end in (request.ended, job.row and job.row.completed_at) if end]
            if ends:
                spans[request.provider] += [(request.created, 1), (max(min(ends), request.created), -1)]
    for provider, changes in spans.items():
        most = max(accumulate(change for _, change in sorted(changes)))
        if most > limit:
            yield f"{provider} had {most} requests at once, and {limit} were allowed"


def life_goes_on(evidence: Evidence) -> Iterator[str]:
    """A job created after the last kill completes, and at least half of the others did."""
    if evidence.fresh is None or evidence.fresh.status is not Status.COMPLETED:
        yield f"the fresh job after all is {evidence.fresh.end if evidence.fresh else 'not there'}"
    completed = sum(job.end == Status.COMPLETED for job in evidence.jobs)
    if completed * 2 < len(evidence.jobs):
        yield f"only {completed} of {len(evidence.jobs)} jobs completed"


CHECKS: Mapping[str, Check] = {
    "nothing lost": nothing_lost,
    "nothing stuck": nothing_stuck,
    "nothing double": nothing_double,
    "nothing strange": nothing_strange,
    "files are what was served": files_are_what_was_served,
    "ends are for ever": ends_are_for_ever,
    "every end has a reason": ends_have_a_reason,
    "credits are held once and end once": credits_are_held_once_and_end_once,
    "books balance": books_balance,
    "what completed is paid": what_completed_is_paid,
    "outages are orderly": outages_are_orderly,
    "every end is told": ends_are_told,
    "films are whole or have a reason": films_are_whole_or_have_a_reason,
    "slots are kept": slots_are_kept,
    "life goes on": life_goes_on,
}


def violations(evidence: Evidence) -> Mapping[str, list[str]]:
    """By check; an empty list where it holds."""
    return {name: list(check(evidence)) for name, check in CHECKS.items()}
