"""The API as the commands call it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Nobody who brings a key needs the database, whose modules take longer to load than most calls.
from reelay.cli.data_dir import DataDir
from reelay.cli.environment import user_environment
from reelay.cli.errors import NotRunning
from reelay_client import AsyncReelay


@asynccontextmanager
async def open_api(data_dir: DataDir, *, patience: float) -> AsyncIterator[AsyncReelay]:
    """The API with the environment's key, or for the running stack with that of the user `local`.

    Raises: NotRunning.
    """
    from reelay.cli import access

    environment = user_environment()
    url, key = environment.get("REELAY_API_URL"), environment.get("REELAY_API_KEY")
    if url and not key:
        raise NotRunning("REELAY_API_URL is set, so REELAY_API_KEY is needed as well")
    if not url:
        url = data_dir.find_stack().api_url
    async with AsyncReelay(url, key or await access.local_key(data_dir), patience=patience) as client:
        yield client


@asynccontextmanager
async def open_admin_api(data_dir: DataDir, key: str, *, patience: float) -> AsyncIterator[AsyncReelay]:
    """The API of `REELAY_API_URL`, else of the running stack, with an administrator's key. Raises: NotRunning."""
    url = user_environment().get("REELAY_API_URL") or data_dir.find_stack().api_url
    async with AsyncReelay(url, key, patience=patience) as client:
        yield client
