"""`reelay providers`."""

import re
from typing import Annotated
from uuid import UUID

import typer

from reelay.cli.errors import StackError
from reelay.cli.operations import operate
from reelay.cli.output import JsonOption, show_rows
from reelay.cli.service import DataDirOption
from reelay.domain.generation import ProviderName
from reelay.domain.learned_limit import Learned
from reelay.domain.turns import Place

app = typer.Typer(help="Providers, and how many jobs may be there at once.", no_args_is_help=True)

LIMIT_COLUMNS = ("provider", "endpoint", "slots", "slotsPerUser")
WAITING_COLUMNS = ("id", "user", "model", "priority", "place", "held", "createdAt")


@app.command("limit")
def limit_provider(
    provider: ProviderName,
    slots: Annotated[str, typer.Argument(help="A number, `none` for no limit, or `auto`: learned.")],
    endpoint: Annotated[str | None, typer.Option(help="Of this endpoint alone, e.g. fal-ai/veo3.1.")] = None,
    per_user: Annotated[str, typer.Option(help="Of each user; not with --endpoint.")] = "none",
    data_dir: DataDirOption = None,
) -> None:
    """Limit how many jobs may be at a provider at once; the others wait for their turn. Workers know it in seconds."""
    at_once = Learned.AUTO if slots == Learned.AUTO else parse_slots(slots)
    of_each = parse_slots(per_user)
    operate(data_dir, lambda operations: operations.limit_slots(provider, at_once, endpoint=endpoint, per_user=of_each))


@app.command("limits")
def list_limits(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """List the limits that were set while running."""
    show_rows(operate(data_dir, lambda operations: operations.slot_limits()), LIMIT_COLUMNS, as_json=as_json)


@app.command("waiting")
def list_waiting(
    provider: ProviderName,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """List the jobs that wait for a slot at a provider, the next one first, those that are held back last."""
    waiting = operate(data_dir, lambda operations: operations.waiting(provider, limit))
    show_rows(waiting["data"], WAITING_COLUMNS, as_json=as_json)


@app.command("hold")
def hold_job(job_id: UUID, data_dir: DataDirOption = None) -> None:
    """Hold a job back that waits for a slot: it gets none until it is released."""
    operate(data_dir, lambda operations: operations.hold_job(job_id))


@app.command("release")
def release_job(job_id: UUID, data_dir: DataDirOption = None) -> None:
    """Put a job that is held back in line again."""
    operate(data_dir, lambda operations: operations.release_job(job_id))


@app.command("move")
def move_job(job_id: UUID, place: Place, data_dir: DataDirOption = None) -> None:
    """Have a job that waits for a slot go first (`front`), last (`back`), or as it would by itself (`line`)."""
    operate(data_dir, lambda operations: operations.move_job(job_id, place))


def parse_slots(slots: str) -> int | None:
    """Raises: StackError."""
    if slots == "none":
        return None
    if not re.fullmatch("[0-9]{1,6}", slots):
        raise StackError(f"{slots!r} is neither a number of slots nor none")
    return int(slots)
