from uuid import UUID

import httpx
import pytest

from reelay.domain.generation import ProviderName
from reelay.providers.fal import FalProvider
from reelay.providers.registry import Providers, build_providers, can_submit, webhook_path
from reelay.providers.replicate import ReplicateProvider
from reelay.providers.studio import StudioProvider
from reelay.settings import Settings


class Nothing:
    """No push has come."""

    async def get(self, generation_id: UUID) -> bytes | None:
        return None


@pytest.fixture(autouse=True)
def _no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FAL_KEY", "FAL_API_KEY", "FAL_KEY_NEW", "REPLICATE_API_TOKEN", "WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)


def settings(**values: str) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


def built(client: httpx.AsyncClient, **values: str) -> Providers:
    providers = build_providers(settings(**values), client, client, Nothing())
    assert providers.keys() == set(settings(**values).providers)
    return providers


async def test_a_provider_without_a_key_is_absent(client: httpx.AsyncClient) -> None:
    assert built(client) == {}


@pytest.mark.parametrize("name", ["fal_key", "fal_key_new"])
async def test_fal_is_there_when_it_has_a_key(name: str, client: httpx.AsyncClient) -> None:
    [(provider_name, provider)] = built(client, **{name: "id:secret"}).items()
    assert provider_name is ProviderName.FAL
    assert isinstance(provider, FalProvider)


async def test_the_studio_is_there_when_its_pushes_can_be_known(client: httpx.AsyncClient) -> None:
    [(provider_name, provider)] = built(client, webhook_secret="shared").items()
    assert provider_name is ProviderName.STUDIO
    assert isinstance(provider, StudioProvider)


async def test_in_development_the_studio_needs_no_secret(client: httpx.AsyncClient) -> None:
    assert list(built(client, environment="development")) == [ProviderName.STUDIO]


async def test_replicate_is_there_when_it_has_a_token(client: httpx.AsyncClient) -> None:
    [(provider_name, provider)] = built(client, replicate_api_token="r8_x").items()
    assert provider_name is ProviderName.REPLICATE
    assert isinstance(provider, ReplicateProvider)


def test_a_provider_is_asked_to_report_where_its_word_can_be_verified() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert webhook_path(settings(), ProviderName.REPLICATE) is None
    assert webhook_path(settings(replicate_webhook_secret=secret), ProviderName.REPLICATE) == "/api/webhooks/replicate"
    assert webhook_path(settings(fal_webhook_path="/hook"), ProviderName.FAL) == "/hook"


def test_a_process_without_keys_is_told_whose_there_are() -> None:
    told = settings(providers="fal, Replicate", webhook_secret="shared")
    assert told.providers == (ProviderName.FAL, ProviderName.REPLICATE)
    assert can_submit(told, ProviderName.FAL, "fal-ai/veo3.1")
    assert not can_submit(told, ProviderName.STUDIO, "studio")


def test_a_worker_without_the_webhook_secret_is_told_that_there_is_one() -> None:
    assert webhook_path(settings(replicate_webhooks="true"), ProviderName.REPLICATE) == "/api/webhooks/replicate"
