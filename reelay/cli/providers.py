"""`reelay providers`."""

import re
from typing import Annotated

import typer

from reelay.cli.errors import StackError
from reelay.cli.operations import operate
from reelay.cli.output import JsonOption, show_rows
from reelay.cli.service import DataDirOption
from reelay.domain.generation import ProviderName

app = typer.Typer(help="Providers, and how many jobs may be there at once.", no_args_is_help=True)

LIMIT_COLUMNS = ("provider", "endpoint", "slots", "slotsPerUser")


@app.command("limit")
def limit_provider(
    provider: ProviderName,
    slots: Annotated[str, typer.Argument(help="A number, or `none` for no limit.")],
    endpoint: Annotated[str | None, typer.Option(help="Of this endpoint alone, e.g. fal-ai/veo3.1.")] = None,
    per_user: Annotated[str, typer.Option(help="Of each user; not with --endpoint.")] = "none",
    data_dir: DataDirOption = None,
) -> None:
    """Limit how many jobs may be at a provider at once; the others wait for their turn. Workers know it in seconds."""
    at_once, of_each = parse_slots(slots), parse_slots(per_user)
    operate(data_dir, lambda operations: operations.limit_slots(provider, at_once, endpoint=endpoint, per_user=of_each))


@app.command("limits")
def list_limits(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """List the limits that were set while running."""
    show_rows(operate(data_dir, lambda operations: operations.slot_limits()), LIMIT_COLUMNS, as_json=as_json)


def parse_slots(slots: str) -> int | None:
    """Raises: StackError."""
    if slots == "none":
        return None
    if not re.fullmatch("[0-9]{1,6}", slots):
        raise StackError(f"{slots!r} is neither a number of slots nor none")
    return int(slots)
