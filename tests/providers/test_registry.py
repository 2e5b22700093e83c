from uuid import UUID

import httpx
import pytest

from domain.generation import ProviderName
from providers.fal import FalProvider
from providers.registry import Providers, build_providers, configured_providers
from providers.studio import StudioProvider
from settings import Settings


class Nothing:
    """No push has come."""

    async def of(self, generation_id: UUID) -> bytes | None:
        return None


@pytest.fixture(autouse=True)
def _no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FAL_KEY", "FAL_API_KEY", "FAL_KEY_NEW", "WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)


def settings(**values: str) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


def built(client: httpx.AsyncClient, **values: str) -> Providers:
    providers = build_providers(settings(**values), client, client, Nothing())
    assert providers.keys() == configured_providers(settings(**values))
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
