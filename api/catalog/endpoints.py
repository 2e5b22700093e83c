"""Endpoints that the catalogue does not know, as models: by what their provider publishes, which is kept for a day."""

from datetime import timedelta
from difflib import get_close_matches
from typing import Any

import structlog
from async_lru import alru_cache

from api.http.problems import InvalidParams, ServiceUnavailable
from reelay.catalog.endpoints import Endpoint, UnitPrice, UnusableDocument, endpoint_of, is_endpoint_id, model_of
from reelay.catalog.errors import shown
from reelay.catalog.model import Model
from reelay.db.endpoints import confirm_endpoint, find_endpoint, keep_endpoint
from reelay.db.engine import Sessions
from reelay.db.tables import EndpointRow
from reelay.domain.messages import Sentence
from reelay.providers.errors import ProviderError
from reelay.providers.fal_platform import FalPlatform, NoSuchEndpoint, cents_of

FRESH_FOR = timedelta(days=1)
READ_AGAIN_AFTER = timedelta(minutes=1)
"""Of what this process has read; and it does not ask for an unknown name more often."""
MOST_REMEMBERED = 500
NEAR_MATCHES = 3

log = structlog.get_logger()


class Endpoints:
    def __init__(self, sessions: Sessions, platform: FalPlatform | None) -> None:
        """`sessions`: of the service role. `platform`: None where fal is not set up, and has no endpoints for us."""
        self._sessions = sessions
        self._platform = platform
        # One call at a time for one name, whoever waits for it.
        self._remembered = alru_cache(maxsize=MOST_REMEMBERED, ttl=READ_AGAIN_AFTER.total_seconds())(self._find)

    async def find(self, name: str) -> Model | None:
        """The endpoint of that id as a model; None for what can be no id of an endpoint here.

        Raises: InvalidParams, naming near matches, for one that its provider does not know or no longer offers;
        ServiceUnavailable.
        """
        if self._platform is None or not is_endpoint_id(name):
            return None
        found = await self._remembered(name)
        if isinstance(found, InvalidParams):
            raise InvalidParams(found.detail, errors=found.errors)
        return found

    async def _find(self, endpoint_id: str) -> Model | InvalidParams:
        assert self._platform
        try:
            row = await self._newest(self._platform, endpoint_id)
        except NoSuchEndpoint:
            return await self._refusal("field_unknown_endpoint", endpoint_id)
        endpoint = endpoint_of(row.entry)
        if endpoint.is_deprecated:
            return await self._refusal("field_deprecated_endpoint", endpoint_id)
        try:
            return _model(endpoint, row.price)
        except UnusableDocument as error:
            log.error("endpoint_document_unusable", endpoint=endpoint_id, error=str(error))
            return _refused(endpoint_id, Sentence("field_unusable_endpoint"))

    async def _newest(self, platform: FalPlatform, endpoint_id: str) -> EndpointRow:
        """What is kept, if that is fresh, or the provider is away. Raises: NoSuchEndpoint, ServiceUnavailable."""
        async with self._sessions() as session:
            kept = await find_endpoint(session, endpoint_id, fresh_for=FRESH_FOR)
        row, is_fresh = kept or (None, False)
        if row and is_fresh:
            return row
        try:
            published = await platform.endpoint(endpoint_id, etag=row.etag if row else None)
            price = (await platform.prices([endpoint_id])).get(endpoint_id)
        except ProviderError as error:
            log.warning("endpoint_not_fetched", endpoint=endpoint_id, error=str(error), stale=row is not None)
            if row is None:
                raise ServiceUnavailable(Sentence("unavailable")) from error
            return row
        async with self._sessions.begin() as session:
            if published is not None:
                await keep_endpoint(session, endpoint_id, published.entry, etag=published.etag, price=price)
            else:
                await confirm_endpoint(session, endpoint_id, price=price)
        entry = published.entry if published else row.entry if row else {}
        return EndpointRow(id=endpoint_id, entry=entry, price=price)

    async def _refusal(self, key: str, endpoint_id: str) -> InvalidParams:
        near = await self._near(endpoint_id)
        hint = Sentence("field_did_you_mean", word=near[0]) if near else ""
        return _refused(endpoint_id, Sentence(key, provider="fal", hint=hint), limit=near)

    async def _near(self, endpoint_id: str) -> list[str]:
        """Ids that may have been meant."""
        assert self._platform
        words = " ".join(part for part in endpoint_id.replace("-", " ").split("/")[1:])
        try:
            found = await self._platform.search(words)
        except ProviderError:
            return []
        others = [each for each in found if each != endpoint_id]
        return get_close_matches(endpoint_id, others, n=NEAR_MATCHES, cutoff=0.5)


def _model(endpoint: Endpoint, price: dict[str, Any] | None) -> Model:
    """Raises: UnusableDocument."""
    cents_and_unit = cents_of(price or {})
    return model_of(endpoint, UnitPrice(cents=cents_and_unit[0], unit=cents_and_unit[1]) if cents_and_unit else None)


def _refused(endpoint_id: str, message: str, *, limit: list[str] | None = None) -> InvalidParams:
    error = {"field": "model", "message": message, "limit": limit or None, "value": shown(endpoint_id)}
    return InvalidParams(Sentence("model_not_available"), errors=[error])
