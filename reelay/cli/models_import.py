"""`reelay models import`: a catalogue file out of what fal publishes of an endpoint."""

from datetime import UTC, datetime
from pathlib import Path

from reelay.catalog.drafts import draft_of, name_of
from reelay.catalog.endpoints import UnitPrice, UnusableDocument, endpoint_of, is_endpoint_id, model_of
from reelay.catalog.loader import Aliases, read_models
from reelay.cli.checks import context_of
from reelay.cli.data_dir import DataDir
from reelay.cli.errors import StackError
from reelay.providers.errors import ProviderError
from reelay.providers.fal_platform import NoSuchEndpoint, cents_of
from reelay.providers.registry import open_platform


async def import_model(data_dir: DataDir, endpoint_id: str, to: Path | None) -> Path:
    """The file that it was written to: in that folder, else in CATALOG_DIR, else here. Raises: StackError."""
    settings = context_of(data_dir).settings
    path = (to or settings.catalog_dir or Path()) / f"{name_of(endpoint_id)}.toml"
    if not is_endpoint_id(endpoint_id):
        raise StackError(f"{endpoint_id} is no id of an endpoint, as fal-ai/flux/dev is one")
    if path.exists():
        raise StackError(f"{path} is there already")
    async with open_platform(settings) as platform:
        if platform is None:
            raise StackError("set FAL_KEY: fal is asked for the endpoint's document and price")
        try:
            published = await platform.endpoint(endpoint_id)
            listed = cents_of((await platform.prices([endpoint_id])).get(endpoint_id, {}))
        except NoSuchEndpoint as unknown:
            raise StackError(f"fal has no endpoint {endpoint_id}") from unknown
        except ProviderError as error:
            raise StackError(str(error)) from error
    assert published  # no etag was given
    price = UnitPrice(cents=listed[0], unit=listed[1]) if listed else None
    try:
        model = model_of(endpoint_of(published.entry), price)
    except UnusableDocument as error:
        raise StackError(str(error)) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draft_of(model, datetime.now(UTC).date()), encoding="utf-8")
    read_models(path, Aliases(names={}, lists={}))
    return path
