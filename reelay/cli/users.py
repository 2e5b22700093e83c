"""`reelay users`."""

import json

import typer

from reelay.cli.exit_codes import run
from reelay.cli.output import NEGATIVE_NUMBERS, JsonOption, show_rows
from reelay.cli.service import DataDirOption, find_data_dir

app = typer.Typer(help="Users.", no_args_is_help=True)

USER_COLUMNS = ("id", "name", "createdAt", "disabledAt", "keys", "jobs", "lastJobAt")


@app.command("budget", context_settings=NEGATIVE_NUMBERS)
def limit_month(user: str, cents: str, data_dir: DataDirOption = None) -> None:
    """Limit what the user's jobs of one month may cost: cents, or `none`."""
    from reelay.cli import ledger

    run(ledger.limit(find_data_dir(data_dir), user, cents))


@app.command("list")
def list_users(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """List users, newest first, with their active keys and their jobs."""
    from reelay.cli import accounts

    show_rows(run(accounts.users(find_data_dir(data_dir))), USER_COLUMNS, as_json=as_json)


@app.command("show")
def show_user(user: str, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show one user, by name or id."""
    from reelay.cli import accounts

    found = run(accounts.user(find_data_dir(data_dir), user))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        show_rows([found], USER_COLUMNS, as_json=False)


@app.command("disable")
def disable_user(user: str, data_dir: DataDirOption = None) -> None:
    """Refuse all keys and tokens of the user from now on. Jobs that run are not stopped."""
    from reelay.cli import accounts

    run(accounts.disable(find_data_dir(data_dir), user))


@app.command("enable")
def enable_user(user: str, data_dir: DataDirOption = None) -> None:
    """Accept the keys and tokens of the user again."""
    from reelay.cli import accounts

    run(accounts.enable(find_data_dir(data_dir), user))
