"""Which providers this process can reach, and whose webhooks it can verify."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
from pydantic import SecretStr

from reelay.domain.generation import ProviderName
from reelay.outbound import open_client
from reelay.providers.fal import FalProvider
from reelay.providers.fal_bill import FalBill
from reelay.providers.fal_platform import FalPlatform
from reelay.providers.fal_webhook import FalWebhooks, keys_of
from reelay.providers.jwks import JwksCache
from reelay.providers.provider import FinalPushes, Provider, WebhookVerifier
from reelay.providers.replicate import ReplicateProvider
from reelay.providers.replicate_webhook import ReplicateWebhooks
from reelay.providers.studio import STARTED_BY_BACKEND, StudioProvider
from reelay.providers.unconfigured import UnconfiguredProvider
from reelay.settings import Settings


class Providers(dict[ProviderName, Provider]):
    """Those that are set up. Asked by name for another one, it says so in the words of `providers.errors`."""

    def __missing__(self, name: ProviderName) -> Provider:
        return UnconfiguredProvider(name)


Verifiers = dict[ProviderName, WebhookVerifier]

BILL_PAGE_WITHIN = timedelta(minutes=1)
PUBLISHED_WITHIN = timedelta(seconds=10)
"""What an endpoint takes is asked for while a caller waits."""
FAL_WEBHOOK_PATH = "/api/webhooks/fal"
STUDIO_WEBHOOK_PATH = "/api/webhooks/video-completion"
REPLICATE_WEBHOOK_PATH = "/api/webhooks/replicate"


@asynccontextmanager
async def open_providers(settings: Settings, final_pushes: FinalPushes) -> AsyncIterator[Providers]:
    """The providers with their connections, for as long as the block lasts."""
    async with (
        open_client(settings) as client,
        open_client(settings, limits=httpx.Limits(max_keepalive_connections=0)) as submit_client,
    ):
        yield build_providers(settings, client, submit_client, final_pushes)


def build_providers(
    settings: Settings, client: httpx.AsyncClient, submit_client: httpx.AsyncClient, final_pushes: FinalPushes
) -> Providers:
    """One entry for each provider whose key is here, and for the studio where jobs may go to it."""
    providers = Providers()
    if keys := fal_keys(settings):
        providers[ProviderName.FAL] = FalProvider(
            client,
            submit_client=submit_client,
            keys=keys,
            queue_base=settings.fal_queue_base,
            platform_base=settings.fal_platform_base,
            timeout=settings.fal_timeout,
            other_bases=(settings.fal_api_base, *settings.fal_fallback_bases),
            admin_key=settings.fal_admin_key,
            storage_base=settings.fal_api_base,
        )
    if token := settings.replicate_api_token:
        providers[ProviderName.REPLICATE] = ReplicateProvider(
            client, submit_client=submit_client, token=token, base=settings.replicate_api_base
        )
    if ProviderName.STUDIO in settings.providers:
        providers[ProviderName.STUDIO] = StudioProvider(
            client,
            submit_client=submit_client,
            backend_url=settings.studio_backend_url,
            secret=settings.webhook_secret,
            final_pushes=final_pushes,
            language=settings.language,
        )
    return providers


def can_submit(settings: Settings, provider: ProviderName, endpoint: str) -> bool:
    """Whether a generation of that endpoint could be started from here."""
    if provider is ProviderName.STUDIO and endpoint != STARTED_BY_BACKEND and settings.studio_backend_url is None:
        return False  # its pushes can be verified, but there is nobody to send the job to
    return provider in settings.providers


@asynccontextmanager
async def open_platform(settings: Settings) -> AsyncIterator[FalPlatform | None]:
    """What fal publishes of its endpoints, for as long as the block lasts; None without a key of fal."""
    if not (keys := fal_keys(settings)):
        yield None
        return
    async with open_client(settings) as client:
        yield FalPlatform(client, keys=keys, base=settings.fal_platform_base, timeout=PUBLISHED_WITHIN)


@asynccontextmanager
async def open_bill(settings: Settings) -> AsyncIterator[FalBill | None]:
    """fal's bill, for as long as the block lasts; None without the key that may read it."""
    if (key := settings.fal_admin_key) is None:
        yield None
        return
    async with open_client(settings) as client:
        yield FalBill(client, admin_key=key, base=settings.fal_platform_base, timeout=BILL_PAGE_WITHIN)


def fal_keys(settings: Settings) -> list[SecretStr]:
    """During a rotation two: the new one is tried first."""
    return [key for key in (settings.fal_key_new, settings.fal_key) if key]


def build_verifiers(settings: Settings, client: httpx.AsyncClient) -> Verifiers:
    """One for each provider that has a webhook route. `client` fetches public keys."""
    jwks = JwksCache(client, settings.fal_jwks_url, parse=keys_of, clock=time.monotonic)
    return {
        ProviderName.FAL: FalWebhooks(jwks, user_id=settings.fal_user_id, clock=_now),
        ProviderName.REPLICATE: ReplicateWebhooks(settings.replicate_webhook_secrets, clock=_now),
    }


def webhook_path(settings: Settings, provider: ProviderName) -> str | None:
    """Where the provider is asked to report. None: it is not asked, and polled from the start."""
    paths = {ProviderName.FAL: settings.fal_webhook_path, ProviderName.STUDIO: STUDIO_WEBHOOK_PATH}
    if settings.is_called_by_replicate:
        paths[ProviderName.REPLICATE] = REPLICATE_WEBHOOK_PATH
    return paths.get(provider)


def _now() -> datetime:
    return datetime.now(UTC)
