"""`reelay users`."""

import json
from typing import Annotated

import typer

from reelay.cli.operations import operate, parse_cents
from reelay.cli.output import NEGATIVE_NUMBERS, JsonOption, show_rows
from reelay.cli.service import DataDirOption
from reelay.domain.generation import Priority

app = typer.Typer(help="Users, by name, id, or the e-mail address of their token.", no_args_is_help=True)

USER_COLUMNS = ("id", "name", "email", "createdAt", "disabledAt", "keys", "jobs", "lastJobAt")


@app.command("create")
def create_user(
    name: str,
    budget: Annotated[str | None, typer.Option(help="The most that the user's jobs of one month may cost.")] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Create a user, without a key and without credits."""
    made = operate(
        data_dir, lambda operations: operations.create_user(name, None if budget is None else parse_cents(budget))
    )
    if as_json:
        typer.echo(json.dumps(made, indent=2))
    else:
        typer.echo(made["id"])


@app.command("budget", context_settings=NEGATIVE_NUMBERS)
def limit_month(user: str, cents: str, data_dir: DataDirOption = None) -> None:
    """Limit what the user's jobs of one month may cost: cents, or `none`."""
    operate(data_dir, lambda operations: operations.set_budget(user, None if cents == "none" else parse_cents(cents)))


@app.command("weight")
def weigh_user(
    user: str, weight: Annotated[float, typer.Argument(min=0.001, max=1000)], data_dir: DataDirOption = None
) -> None:
    """Set the user's share of slots at a provider, beside the others who wait; 1 at first."""
    operate(data_dir, lambda operations: operations.set_slot_weight(user, weight))


@app.command("priority")
def limit_priority(user: str, highest: Priority, data_dir: DataDirOption = None) -> None:
    """Set the highest priority that the user's new jobs may have; high at first."""
    operate(data_dir, lambda operations: operations.set_highest_priority(user, highest))


@app.command("list")
def list_users(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """List users, newest first, with their active keys and their jobs."""
    show_rows(operate(data_dir, lambda operations: operations.users()), USER_COLUMNS, as_json=as_json)


@app.command("show")
def show_user(user: str, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show one user."""
    found = operate(data_dir, lambda operations: operations.user(user))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        show_rows([found], USER_COLUMNS, as_json=False)


@app.command("disable")
def disable_user(user: str, data_dir: DataDirOption = None) -> None:
    """Refuse all keys and tokens of the user from now on. Jobs that run are not stopped."""
    operate(data_dir, lambda operations: operations.disable(user))


@app.command("enable")
def enable_user(user: str, data_dir: DataDirOption = None) -> None:
    """Accept the keys and tokens of the user again."""
    operate(data_dir, lambda operations: operations.enable(user))


@app.command("sign-out")
def sign_out_user(user: str, data_dir: DataDirOption = None) -> None:
    """End the user's sessions, links to media and tokens of event streams. API keys stay good."""
    operate(data_dir, lambda operations: operations.sign_out(user))


@app.command("delete")
def delete_user(
    user: str,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Delete a user with all jobs, files, campaigns and keys. Nobody can undo it.

    The user is refused at once; the workers delete the rest with their next passes, and `reelay prune` begins one. What
    the user paid stays in the books, under no name.
    """
    if not yes:
        typer.confirm(f"Delete {user} and all that belongs to this user?", abort=True, err=True)
    operate(data_dir, lambda operations: operations.delete(user))
