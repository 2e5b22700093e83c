"""Where the commands find the service."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from reelay.cli.api_client import open_api
from reelay.cli.data_dir import DataDir
from reelay.cli.environment import user_environment
from reelay_client import AsyncReelay

DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="The stack's folder: REELAY_DATA_DIR, else .reelay.")
]

PATIENCE_SECONDS = 2.0
"""With a service that does not answer, where somebody waits for one answer; who watches has more."""


def find_data_dir(given: Path | None) -> DataDir:
    return DataDir((given or Path(user_environment().get("REELAY_DATA_DIR", ".reelay"))).absolute())


def service(data_dir: Path | None, *, patience: float = PATIENCE_SECONDS) -> AbstractAsyncContextManager[AsyncReelay]:
    return open_api(find_data_dir(data_dir), patience=patience)


async def ask(data_dir: Path | None, path: str, **query: str | int | None) -> Any:
    async with service(data_dir) as reelay:
        return await reelay.get(path, **query)
