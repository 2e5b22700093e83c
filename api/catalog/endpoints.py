"""Endpoints that the catalogue does not know, as models: by what their provider publishes, which is kept for a day."""

import asyncio
from datetime import timedelta

import structlog
from async_lru import alru_cache

from api.http.problems import InvalidParams, ServiceUnavailable, field_error
from reelay.catalog.endpoints import UnitPrice, UnusableDocument, endpoint_of, is_endpoint_id, model_of
from reelay.catalog.model import Model
from reelay.db.endpoints import find_endpoint, find_fresh_endpoint
from reelay.db.engine import Sessions
from reelay.db.tables import EndpointRow
from reelay.domain.endpoint import EndpointAnswer, EndpointState
from reelay.domain.messages import Sentence
from reelay.providers.fal_platform import cents_of
from workflows.runs import GenerationRuns, TemporalFailed

FRESH_FOR = timedelta(days=1)
READ_AGAIN_AFTER = timedelta(minutes=1)
"""Of what this process has read; and an unknown name is not asked for more often."""
MOST_REMEMBERED = 500
FETCHED_AT_ONCE = 4
"""By this process: a caller who guesses names keeps no worker busy."""

log = structlog.get_logger()


class Endpoints:
    def __init__(self, sessions: Sessions, runs: GenerationRuns, *, is_set_up: bool) -> None:
        """`sessions`: of the service role. `is_set_up`: whether jobs may go to fal, whose endpoints they are."""
        self._sessions = sessions
        self._runs = runs
        self._is_set_up = is_set_up
        self._slots = asyncio.Semaphore(FETCHED_AT_ONCE)
        # One call at a time for one name, whoever waits for it.
        self._remembered = alru_cache(maxsize=MOST_REMEMBERED, ttl=READ_AGAIN_AFTER.total_seconds())(self._find)

    async def find(self, name: str) -> Model | None:
        """The endpoint of that id as a model; None for what can be no id of an endpoint here.

        Raises: InvalidParams, naming near matches, for one that its provider does not know or no longer offers;
        ServiceUnavailable.
        """
        if not self._is_set_up or not is_endpoint_id(name):
            return None
        found = await self._remembered(name)
        if isinstance(found, InvalidParams):
            raise InvalidParams(found.detail, errors=found.errors)
        return found

    async def _find(self, endpoint_id: str) -> Model | InvalidParams:
        async with self._sessions() as session:
            row = await find_fresh_endpoint(session, endpoint_id, fresh_for=FRESH_FOR)
        near: tuple[str, ...] = ()
        if row is None or endpoint_of(row.entry).is_deprecated:
            answer = await self._fetched(endpoint_id)
            if answer.state is EndpointState.UNKNOWN:
                return _refusal("field_unknown_endpoint", endpoint_id, answer.near)
            near = answer.near
            async with self._sessions() as session:
                row = await find_endpoint(session, endpoint_id)
        if row is None:
            raise ServiceUnavailable(Sentence("unavailable"))
        if endpoint_of(row.entry).is_deprecated:
            return _refusal("field_deprecated_endpoint", endpoint_id, near)
        return _model(row)

    async def _fetched(self, endpoint_id: str) -> EndpointAnswer:
        try:
            async with self._slots:
                return await self._runs.fetch_endpoint(endpoint_id)
        except TemporalFailed as error:
            log.warning("endpoint_not_asked_for", endpoint=endpoint_id, error=str(error))
            return EndpointAnswer(state=EndpointState.UNAVAILABLE)


def _model(row: EndpointRow) -> Model | InvalidParams:
    cents_and_unit = cents_of(row.price or {})
    price = UnitPrice(cents=cents_and_unit[0], unit=cents_and_unit[1]) if cents_and_unit else None
    try:
        return model_of(endpoint_of(row.entry), price)
    except UnusableDocument as error:
        log.error("endpoint_document_unusable", endpoint=row.id, error=str(error))
        return _refused(row.id, Sentence("field_unusable_endpoint"))


def unknown_endpoint(endpoint_id: str) -> InvalidParams:
    return _refusal("field_unknown_endpoint", endpoint_id, ())


def _refusal(key: str, endpoint_id: str, near: tuple[str, ...]) -> InvalidParams:
    hint = Sentence("field_did_you_mean", word=near[0]) if near else ""
    return _refused(endpoint_id, Sentence(key, provider="fal", hint=hint), limit=list(near))


def _refused(endpoint_id: str, message: str, *, limit: list[str] | None = None) -> InvalidParams:
    return InvalidParams(
        Sentence("model_not_available"), errors=[field_error("model", message, endpoint_id, limit or None)]
    )
