"""What the commands do with what fal publishes: a file out of it, and the catalogue beside it."""

from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from reelay.catalog.loader import DIRECTORY, Aliases, load_catalog, read_models
from reelay.cli.checks import State, check_catalog
from reelay.cli.data_dir import DataDir
from reelay.cli.errors import StackError
from reelay.cli.models_import import import_model
from reelay.drift import find_drift
from reelay.providers.errors import Unavailable
from reelay.providers.fal_platform import FalPlatform
from reelay.settings import Environment, Settings
from tests.servers import Servers


@pytest.fixture
def environment(servers: Servers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The commands' own; the folder is its CATALOG_DIR."""
    values = {
        "ENVIRONMENT": "development",
        "DATABASE_SERVICE_URL": "postgresql://nobody@127.0.0.1/none",
        "FAL_KEY": "key:secret",
        "FAL_PLATFORM_BASE": f"{servers.simulator}/v1",
        "CATALOG_DIR": str(tmp_path / "models"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "models"


async def test_an_endpoint_becomes_a_file_for_a_person_to_finish(environment: Path, tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    path = await import_model(data_dir, "fal-ai/luma-photon", None)
    assert path == environment / "luma-photon.toml"
    (model,) = read_models(path, Aliases(names={}, lists={}))
    assert model.endpoint == "fal-ai/luma-photon"
    assert load_catalog(more=environment).find("luma-photon").endpoint == model.endpoint
    for name, complaint in (
        ("fal-ai/luma-photon", "is there already"),
        ("fal-ai/no-such-endpoint", "has no endpoint"),
        ("photon", "no id of an endpoint"),
    ):
        with pytest.raises(StackError, match=complaint):
            await import_model(data_dir, name, None)


async def test_doctor_names_what_differs_from_what_fal_publishes(servers: Servers, tmp_path: Path) -> None:
    settings = Settings(
        environment=Environment.DEVELOPMENT, fal_key=SecretStr("key"), fal_platform_base=f"{servers.simulator}/v1"
    )
    found = await check_catalog(settings)
    assert (found.state, found.found.partition(" ")[2]) == (State.OK, "models, as fal publishes them")

    photon = (DIRECTORY / "models" / "flux.toml").read_text().replace("fal-ai/flux/dev", "fal-ai/gone")
    (tmp_path / "mine.toml").write_text(photon)
    found = await check_catalog(settings.model_copy(update={"catalog_dir": tmp_path}))
    assert (found.state, found.found) == (State.WRONG, "fal-ai/gone: the endpoint is gone")
    (tmp_path / "mine.toml").write_text("[[models")
    found = await check_catalog(settings.model_copy(update={"catalog_dir": tmp_path / "none"}))
    assert found.state is State.WRONG


async def test_while_fal_is_away_nothing_is_said_of_the_catalogue() -> None:
    async with httpx.AsyncClient() as client:
        platform = FalPlatform(
            client, keys=[SecretStr("key")], base="http://127.0.0.1:9/v1", timeout=timedelta(seconds=5)
        )
        with pytest.raises(Unavailable):
            await find_drift(platform, load_catalog().models)
