import httpx
import pytest

from domain.generation import ProviderName
from providers.fal import FalProvider
from providers.registry import build_providers
from settings import Settings


@pytest.fixture(autouse=True)
def _no_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FAL_KEY", "FAL_API_KEY", "FAL_KEY_NEW"):
        monkeypatch.delenv(name, raising=False)


def settings(**values: str) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


async def test_a_provider_without_a_key_is_absent(client: httpx.AsyncClient) -> None:
    assert build_providers(settings(), client, client) == {}


@pytest.mark.parametrize("name", ["fal_key", "fal_key_new"])
async def test_fal_is_there_when_it_has_a_key(name: str, client: httpx.AsyncClient) -> None:
    [(provider_name, provider)] = build_providers(settings(**{name: "id:secret"}), client, client).items()
    assert provider_name is ProviderName.FAL
    assert isinstance(provider, FalProvider)
