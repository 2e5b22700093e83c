"""Where the commands find the service."""

# A command's imports happen when it runs: all of them together take over a second, which `--help` need not.
from contextlib import AbstractAsyncContextManager
from importlib import import_module as load
from pathlib import Path
from typing import Annotated, Any

import typer

from devstack.data_dir import DataDir
from devstack.environment import user_environment
from reelay_client import Reelay

DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="The stack's folder: REELAY_DATA_DIR, else .reelay.")
]


def find_data_dir(given: Path | None) -> DataDir:
    return DataDir((given or Path(user_environment().get("REELAY_DATA_DIR", ".reelay"))).absolute())


def service(data_dir: Path | None) -> AbstractAsyncContextManager[Reelay]:
    opened: AbstractAsyncContextManager[Reelay] = load("devstack.access").open_api(find_data_dir(data_dir))
    return opened


async def ask(data_dir: Path | None, path: str, **query: str | int | None) -> Any:
    async with service(data_dir) as reelay:
        return await reelay.get(path, **query)
