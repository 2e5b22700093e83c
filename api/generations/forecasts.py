"""When jobs are expected to start and to end: of those that wait for a slot by the line before them, of others by what
their model usually takes. Computed for all readers together, about a second old at most, and written nowhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from async_lru import alru_cache

from reelay.db.engine import Sessions
from reelay.db.generations import TIMING
from reelay.db.slots import line_at, read_slot_limits, usual_durations
from reelay.db.tables import GenerationJob
from reelay.domain.forecast import NOW, Span, expected_starts
from reelay.domain.generation import ProviderName, Status, WaitingFor
from reelay.domain.learned_limit import Learned

LINE_FRESH_SECONDS = 1.0
DURATIONS_FRESH_SECONDS = 60.0
OF_AN_UNKNOWN_MODEL = Span.guess(timedelta(minutes=1))


@dataclass(frozen=True)
class Range:
    """Four of five such jobs do it between these moments."""

    earliest: datetime
    latest: datetime


@dataclass(frozen=True)
class Forecast:
    starts_at: datetime | None = None
    starts_within: Range | None = None
    completes_at: datetime | None = None
    completes_within: Range | None = None
    ahead: int | None = None
    """How many go first, of a job that waits for a slot."""


class Forecasts:
    def __init__(
        self, sessions: Sessions, service_sessions: Sessions, defaults: Mapping[ProviderName, int | Learned | None]
    ) -> None:
        """`service_sessions`: of a role that sees everybody's jobs, since everybody waits in one line."""
        self._sessions = sessions
        self._service_sessions = service_sessions
        self._defaults = defaults
        self._line = alru_cache(maxsize=len(ProviderName), ttl=LINE_FRESH_SECONDS)(self._read_line)
        self._durations = alru_cache(maxsize=1, ttl=DURATIONS_FRESH_SECONDS)(self._read_durations)

    async def of(self, row: GenerationJob) -> Forecast:
        if Status(row.status).is_final:
            return Forecast()
        if row.waiting_for == WaitingFor.SLOT:
            waits = (await self._line(ProviderName(row.provider))).get(row.id)
            if row.slot_withheld:  # by an operator, nobody knows for how long
                return Forecast()
            return waits or Forecast(ahead=0)  # its turn has come
        if row.submitted_at is None:
            return Forecast()
        usual = (await self._durations()).get(row.model) or Span.guess(TIMING.validate_python(row.timing).expected)
        now = datetime.now(UTC)
        left = usual.minus(now - row.submitted_at)
        return Forecast(
            starts_at=row.submitted_at,
            completes_at=now + left.expected if left.expected > NOW else None,
            completes_within=_within(now, left.not_before(NOW)) if left.latest > NOW else None,
        )

    async def _read_durations(self) -> Mapping[str, Span]:
        async with self._sessions() as session:
            return await usual_durations(session)

    async def _read_line(self, provider: ProviderName) -> Mapping[UUID, Forecast]:
        async with self._service_sessions() as session:
            limits = (await read_slot_limits(session, self._defaults))[provider]
            line = await line_at(session, provider, limits)
        usual, now = await self._durations(), datetime.now(UTC)
        ends = [usual.get(model, OF_AN_UNKNOWN_MODEL).minus(now - since) for model, since in line.at_work]
        durations = [usual.get(model, OF_AN_UNKNOWN_MODEL) for _, model in line.waiting]
        slots = len(ends) if limits.account is None else limits.account
        if not slots:  # nobody's turn comes
            return {job_id: Forecast(ahead=ahead) for ahead, (job_id, _) in enumerate(line.waiting)}
        starts = expected_starts(sorted(ends)[-slots:], slots, durations)
        return {
            job_id: _of_waiting(now, start, start.plus(duration), ahead)
            for ahead, ((job_id, _), start, duration) in enumerate(zip(line.waiting, starts, durations, strict=True))
        }


def _of_waiting(now: datetime, start: Span, end: Span, ahead: int) -> Forecast:
    return Forecast(
        starts_at=now + start.expected,
        starts_within=_within(now, start),
        completes_at=now + end.expected,
        completes_within=_within(now, end),
        ahead=ahead,
    )


def _within(now: datetime, span: Span) -> Range:
    return Range(now + span.earliest, now + span.latest)
