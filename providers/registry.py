"""Which providers this process can reach."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from domain.generation import ProviderName
from providers.fal import FalProvider
from providers.provider import Provider
from settings import Settings

Providers = dict[ProviderName, Provider]


@asynccontextmanager
async def open_providers(settings: Settings) -> AsyncIterator[Providers]:
    """The providers with their connections, for as long as the block lasts."""
    async with (
        httpx.AsyncClient(follow_redirects=False) as client,
        httpx.AsyncClient(follow_redirects=False, limits=httpx.Limits(max_keepalive_connections=0)) as purchases,
    ):
        yield build_providers(settings, client, purchases)


def build_providers(settings: Settings, client: httpx.AsyncClient, purchases: httpx.AsyncClient) -> Providers:
    """One entry for each provider whose key is configured. Of two keys at fal the new one is tried first."""
    providers: Providers = {}
    if keys := [key for key in (settings.fal_key_new, settings.fal_key) if key]:
        providers[ProviderName.FAL] = FalProvider(
            client,
            purchases=purchases,
            keys=keys,
            queue_base=settings.fal_queue_base,
            platform_base=settings.fal_platform_base,
            timeout=settings.fal_timeout,
        )
    return providers
