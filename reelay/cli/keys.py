"""`reelay keys`."""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from reelay.cli.operations import operate, parse_cents
from reelay.cli.output import JsonOption, show_rows
from reelay.cli.service import DataDirOption
from reelay.domain.keys import LONGEST_LIFETIME

app = typer.Typer(help="API keys.", no_args_is_help=True)

SECONDS_OF = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class KeyScope(StrEnum):
    USER = "user"
    ADMIN = "admin"


@app.command("create")
def create_key(
    user: str,
    scope: KeyScope = KeyScope.USER,
    expires: Annotated[
        str | None, typer.Option(help="How long the key is valid, e.g. 12h or 30d. Default: until it is revoked.")
    ] = None,
    budget_cents: Annotated[
        str | None, typer.Option(help="The most that all jobs made with the key may cost. Default: no limit.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Create an API key and print it. A user that does not exist is created."""
    lifetime = None if expires is None else duration(expires)
    budget = None if budget_cents is None else parse_cents(budget_cents)
    typer.echo(operate(data_dir, lambda operations: operations.create_key(user, scope.value, lifetime, budget)))


@app.command("list")
def list_keys(user: str | None = None, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """List API keys by their first characters."""
    rows = operate(data_dir, lambda operations: operations.keys(user))
    shown = ("prefix", "user", "scope", "createdAt", "expiresAt", "revokedAt", "budgetCents", "spentCents", "leftCents")
    show_rows(rows, shown, as_json=as_json)


@app.command("revoke")
def revoke_key(prefix: str, data_dir: DataDirOption = None) -> None:
    """Revoke the API key with this prefix."""
    operate(data_dir, lambda operations: operations.revoke_key(prefix))


def duration(text: str) -> timedelta:
    """`30d`, `12h`, `90m` or `45s`, no longer than a hundred years."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    lifetime = timedelta(seconds=int(found[1]) * SECONDS_OF[found[2]]) if found else None
    if lifetime is None or lifetime > LONGEST_LIFETIME:
        raise typer.BadParameter(f"{text!r} is not a duration such as 30d, 12h, 90m or 45s, of a hundred years at most")
    return lifetime
