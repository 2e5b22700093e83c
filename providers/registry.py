"""Which providers this process can reach."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from domain.generation import ProviderName
from providers.fal import FalProvider
from providers.provider import LastWords, Provider
from providers.studio import StudioProvider
from settings import Settings

Providers = dict[ProviderName, Provider]


@asynccontextmanager
async def open_providers(settings: Settings, last_words: LastWords) -> AsyncIterator[Providers]:
    """The providers with their connections, for as long as the block lasts."""
    async with (
        httpx.AsyncClient(follow_redirects=False) as client,
        httpx.AsyncClient(follow_redirects=False, limits=httpx.Limits(max_keepalive_connections=0)) as purchases,
    ):
        yield build_providers(settings, client, purchases, last_words)


def build_providers(
    settings: Settings, client: httpx.AsyncClient, purchases: httpx.AsyncClient, last_words: LastWords
) -> Providers:
    """One entry for each provider whose key or secret is configured. `FAL_KEY_NEW`, while it is set, is the key in use."""
    providers: Providers = {}
    if key := settings.fal_key_new or settings.fal_key:
        providers[ProviderName.FAL] = FalProvider(
            client,
            purchases=purchases,
            key=key,
            queue_base=settings.fal_queue_base,
            platform_base=settings.fal_platform_base,
            timeout=settings.fal_timeout,
        )
    if secret := settings.webhook_secret:
        providers[ProviderName.STUDIO] = StudioProvider(
            client,
            purchases=purchases,
            backend_url=settings.studio_backend_url,
            secret=secret,
            last_words=last_words,
        )
    return providers
