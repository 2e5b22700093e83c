"""`reelay bill`."""

import json
from typing import Annotated, Any

import typer

from reelay.cli.exit_codes import run
from reelay.cli.output import JsonOption, show_rows
from reelay.cli.service import DataDirOption, find_data_dir

app = typer.Typer(help="What the provider bills, beside what users are charged.", no_args_is_help=True)

MODEL_COLUMNS = ("model", "requests", "billedCents", "chargedCents", "differenceCents")
LISTS = {
    "differingJobs": (
        "Jobs that were charged something else than was billed",
        ("jobId", "billedCents", "chargedCents", "differenceCents", "billedAt", "model"),
    ),
    "unknownRequests": (
        "Requests that were billed and are no job's",
        ("requestId", "billedCents", "billedAt", "endpoint"),
    ),
    "unbilledRequests": (
        "Requests that completed and were not billed",
        ("requestId", "jobId", "chargedCents", "completedAt", "model"),
    ),
}


@app.callback()
def bill() -> None:
    """A group, though it has one command."""


@app.command("reconcile")
def reconcile(
    days: Annotated[
        int | None, typer.Option(min=1, max=90, help="So many days; else what has come since it was last read.")
    ] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Have a worker read the provider's bill now, and show it beside what was charged. A schedule reads it daily."""
    from reelay.cli.housekeeping import reconcile_bill

    found = run(reconcile_bill(find_data_dir(data_dir), days))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    show_bill(found)


def show_bill(found: dict[str, Any]) -> None:
    typer.echo(f"{found['from']} to {found['to']}, in US cents")
    show_rows(found["models"], MODEL_COLUMNS, as_json=False)
    for name, (title, columns) in LISTS.items():
        if rows := found[name]:
            count = found[f"{name}Count"]
            rest = f", the first {len(rows)} of them" if count > len(rows) else ""
            typer.echo(f"\n{title}: {count}{rest}")
            show_rows(rows, columns, as_json=False)
