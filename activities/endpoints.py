"""What a provider publishes of its endpoints, fetched with our key and kept in Postgres."""

from difflib import get_close_matches

import structlog
from temporalio import activity

from reelay.catalog.endpoints import endpoint_of
from reelay.db.endpoints import confirm_endpoint, find_endpoint, keep_endpoint
from reelay.db.engine import Sessions
from reelay.domain.endpoint import EndpointAnswer, EndpointState
from reelay.providers.errors import ProviderError
from reelay.providers.fal_platform import FalPlatform, NoSuchEndpoint

NEAR_MATCHES = 3

log = structlog.get_logger()


class EndpointActivities:
    def __init__(self, sessions: Sessions, platform: FalPlatform | None) -> None:
        """`platform`: None where this worker has no key of fal."""
        self._sessions = sessions
        self._platform = platform

    @activity.defn
    async def fetch_endpoint(self, endpoint_id: str) -> EndpointAnswer:
        """Keep what its provider publishes of it now. Somebody waits for the answer: nothing is tried again here."""
        if self._platform is None:
            return EndpointAnswer(state=EndpointState.UNAVAILABLE)
        try:
            is_offered = await self._fetch(self._platform, endpoint_id)
        except NoSuchEndpoint:
            near = await self._near(self._platform, endpoint_id)
            return EndpointAnswer(state=EndpointState.UNKNOWN, near=near)
        except ProviderError as error:
            log.warning("endpoint_not_fetched", endpoint=endpoint_id, error=str(error))
            return EndpointAnswer(state=EndpointState.UNAVAILABLE)
        near = () if is_offered else await self._near(self._platform, endpoint_id)
        return EndpointAnswer(state=EndpointState.KEPT, near=near)

    async def _fetch(self, platform: FalPlatform, endpoint_id: str) -> bool:
        """Whether it is still offered. Raises: NoSuchEndpoint, ProviderError."""
        async with self._sessions() as session:
            kept = await find_endpoint(session, endpoint_id)
        published = await platform.endpoint(endpoint_id, etag=kept.etag if kept else None)
        price = (await platform.prices([endpoint_id])).get(endpoint_id)
        async with self._sessions.begin() as session:
            if published is not None:
                await keep_endpoint(session, endpoint_id, published.entry, etag=published.etag, price=price)
            else:
                await confirm_endpoint(session, endpoint_id, price=price)
        return not endpoint_of(published.entry if published else kept.entry if kept else {}).is_deprecated

    async def _near(self, platform: FalPlatform, endpoint_id: str) -> tuple[str, ...]:
        words = " ".join(endpoint_id.replace("-", " ").split("/")[1:])
        try:
            found = await platform.search(words)
        except ProviderError:
            return ()
        others = [each for each in found if each != endpoint_id]
        return tuple(get_close_matches(endpoint_id, others, n=NEAR_MATCHES, cutoff=0.5))
