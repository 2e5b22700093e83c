"""`reelay credits`."""

import json
from typing import Annotated, Any

import typer

from reelay.cli.operations import operate, parse_cents
from reelay.cli.output import NEGATIVE_NUMBERS, JsonOption
from reelay.cli.service import DataDirOption

app = typer.Typer(help="Users' credits. One credit is one US cent.", no_args_is_help=True)


@app.command("add", context_settings=NEGATIVE_NUMBERS)
def add_credits(
    user: str,
    cents: str,
    reference: Annotated[str | None, typer.Option(help="E.g. the payment's id. The same reference adds once.")] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Add credits."""
    added = operate(data_dir, lambda operations: operations.add_credits(user, parse_cents(cents), reference))
    show_credits(added, as_json=as_json)


@app.command("adjust", context_settings=NEGATIVE_NUMBERS)
def adjust_credits(
    user: str,
    cents: str,
    reason: Annotated[str, typer.Option(help="Written to the ledger. The same reason corrects once.")],
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Correct the balance, up (50) or down (-50)."""
    adjusted = operate(data_dir, lambda operations: operations.adjust_credits(user, parse_cents(cents), reason))
    show_credits(adjusted, as_json=as_json)


@app.command("show")
def show_credits_of(user: str, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show the balance of a user."""
    show_credits(operate(data_dir, lambda operations: operations.credits(user)), as_json=as_json)


def show_credits(credits: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(credits))
        return
    budget = credits["monthlyBudgetCents"]
    typer.echo(
        f"{credits['user']}  {credits['availableCents']} cents available, {credits['heldCents']} held, "
        f"{credits['balanceCents']} in all" + ("" if budget is None else f"; at most {budget} a month")
    )
