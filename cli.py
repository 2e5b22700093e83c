"""The `reelay` command. Each command is a few lines; the work is done in the modules that it loads."""

import asyncio
import json
import re
from datetime import timedelta
from enum import StrEnum

# A command's imports happen when it runs: all of them together take over a second, which `--help` need not.
from importlib import import_module as load
from pathlib import Path
from typing import Annotated, Any, NoReturn
from uuid import UUID

import typer
from pydantic import ValidationError

from commands import generate
from commands.doctor import doctor
from commands.ending import EXIT_CODES, leave, run
from commands.jobs import cancel, jobs, models, status, watch
from commands.service import DataDirOption, find_data_dir
from commands.showing import JsonOption, console, show_rows
from devstack.environment import SIMULATED_FAL_ACCOUNT, user_environment

app = typer.Typer(
    help="Durable generative-media jobs.", epilog=EXIT_CODES, no_args_is_help=True, pretty_exceptions_enable=False
)
app.add_typer(generate.app, name="generate")
keys = typer.Typer(help="API keys.", no_args_is_help=True)
app.add_typer(keys, name="keys")
credits = typer.Typer(help="Users' credits; one is one cent.", no_args_is_help=True)
app.add_typer(credits, name="credits")
users = typer.Typer(help="Users.", no_args_is_help=True)
app.add_typer(users, name="users")

# A negative amount is told what is wrong with it, and not that there is no such option.
NEGATIVE_NUMBERS = {"ignore_unknown_options": True}


class KeyScope(StrEnum):
    USER = "user"
    ADMIN = "admin"


SECONDS_OF = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_LIFETIME = timedelta(days=36525)


@app.command()
def dev(
    data_dir: DataDirOption = None,
    api_port: int = 8000,
    temporal_port: int = 7233,
    ui_port: int = 8233,
    simulator_port: int = 8010,
    simulator: Annotated[bool, typer.Option(help="Simulate the providers instead of paying them.")] = True,
) -> None:
    """Run the whole stack until Ctrl-C. Its state outlives it in the data dir."""
    postgres, worker_metrics = load("devstack.ports").free_ports(2)
    ports = load("devstack.stack").Ports(
        api=api_port,
        temporal=temporal_port,
        ui=ui_port,
        simulator=simulator_port if simulator else None,
        postgres=postgres,
        worker_metrics=worker_metrics,
    )
    run(load("devstack.start").run_dev(find_data_dir(data_dir), ports, typer.echo))


@app.command()
def demo(data_dir: DataDirOption = None) -> None:
    """Run one video through a stack of its own, on free ports, and check all that is promised of it."""
    folder = data_dir or find_data_dir(None).path / "demo"
    run(load("devstack.start").run_demo(find_data_dir(folder), console()))


@app.command()
def api(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the HTTP API."""
    configured = settings()
    load("logs").configure_logs(configured.secrets)
    load("api.serving").serve(load("api.app").create_app(configured), host=host, port=port)


@app.command()
def worker() -> None:
    """Run workflows and activities."""
    configured = settings()
    load("logs").configure_logs(configured.secrets)
    asyncio.run(load("worker").run_worker(configured))


@app.command()
def simulator(
    port: int = 8010,
    data_dir: DataDirOption = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> None:
    """Serve the stand-in for the providers."""
    folder = find_data_dir(data_dir).path / "simulator"
    load("simulator.app").simulator_server(
        load("simulator.settings").SimulatorSettings(
            media_dir=folder / "media",
            state_file=folder / "state.json",
            account_id=SIMULATED_FAL_ACCOUNT,
            studio_secret=user_environment().get("WEBHOOK_SECRET"),
            webhook_compression=60,
        ),
        port=port,
        certificate=tls_cert,
        private_key=tls_key,
    ).run()


@app.command()
def migrate(data_dir: DataDirOption = None) -> None:
    """Bring the database to the current schema. Safe to repeat."""
    run(load("devstack.accounts").migrate_database(find_data_dir(data_dir)))


@keys.command("create")
def create_key(
    user: str,
    scope: KeyScope = KeyScope.USER,
    expires: Annotated[
        str | None, typer.Option(help="How long it is good, e.g. 12h or 30d; else until it is revoked.")
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print a new key of the user, who is made if there is none."""
    lifetime = None if expires is None else duration(expires)
    typer.echo(run(load("devstack.accounts").create(find_data_dir(data_dir), user, scope.value, lifetime)))


@keys.command("list")
def list_keys(user: str | None = None, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """List keys by their first characters."""
    rows = run(load("devstack.accounts").listing(find_data_dir(data_dir), user))
    show_rows(rows, ("prefix", "user", "scope", "createdAt", "expiresAt", "revokedAt"), as_json=as_json)


@keys.command("revoke")
def revoke_key(prefix: str, data_dir: DataDirOption = None) -> None:
    """Refuse the key that begins so from now on."""
    run(load("devstack.accounts").revoke(find_data_dir(data_dir), prefix))


@credits.command("add", context_settings=NEGATIVE_NUMBERS)
def add_credits(
    user: str,
    cents: str,
    reference: Annotated[str | None, typer.Option(help="E.g. the payment's number: the same one adds once.")] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Give the user credits. The user is made if there is none."""
    show_credits(run(load("devstack.credits").add(find_data_dir(data_dir), user, cents, reference)), as_json=as_json)


@credits.command("adjust", context_settings=NEGATIVE_NUMBERS)
def adjust_credits(
    user: str,
    cents: str,
    reason: Annotated[str, typer.Option(help="Kept in the ledger; the same one corrects once.")],
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Correct what the user has, up (50) or down (-50)."""
    show_credits(run(load("devstack.credits").correct(find_data_dir(data_dir), user, cents, reason)), as_json=as_json)


@credits.command("show")
def show_credits_of(user: str, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show what the user has."""
    show_credits(run(load("devstack.credits").show(find_data_dir(data_dir), user)), as_json=as_json)


@users.command("budget", context_settings=NEGATIVE_NUMBERS)
def limit_month(user: str, cents: str, data_dir: DataDirOption = None) -> None:
    """Limit what the user's jobs of one month may cost: cents, or `none`."""
    run(load("devstack.credits").limit(find_data_dir(data_dir), user, cents))


USER_COLUMNS = ("id", "name", "createdAt", "disabledAt", "keys", "jobs", "lastJobAt")


@users.command("list")
def list_users(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """List users, newest first, with their living keys and their jobs."""
    show_rows(run(load("devstack.accounts").users(find_data_dir(data_dir))), USER_COLUMNS, as_json=as_json)


@users.command("show")
def show_user(user: str, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show one user, by name or id."""
    found = run(load("devstack.accounts").user(find_data_dir(data_dir), user))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        show_rows([found], USER_COLUMNS, as_json=False)


@users.command("disable")
def disable_user(user: str, data_dir: DataDirOption = None) -> None:
    """Refuse all keys and tokens of the user from now on. Jobs that run are not stopped."""
    run(load("devstack.accounts").disable(find_data_dir(data_dir), user))


@users.command("enable")
def enable_user(user: str, data_dir: DataDirOption = None) -> None:
    """Let the user in again."""
    run(load("devstack.accounts").enable(find_data_dir(data_dir), user))


@app.command("import")
def import_rows(
    source: Annotated[
        str,
        typer.Argument(help="A Postgres URL, a file of `pg_dump --data-only`, or a folder of TABLE.csv, TABLE.jsonl."),
    ],
    apply: Annotated[bool, typer.Option("--apply", help="Do it. Else it is tried, told, and taken back.")] = False,
    create_users: Annotated[bool, typer.Option("--create-users", help="Make users that are not there yet.")] = False,
    user: Annotated[str | None, typer.Option(help="Whose the rows are that name no user, by name or id.")] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Take over campaigns, clips, jobs and videos of another application, with their ids. Nothing is submitted.

    Safe to repeat: what is there already stays as it is. Exits with 1 when rows were refused.
    """
    importing = load("devstack.importing").import_rows(
        find_data_dir(data_dir),
        source,
        apply=apply,
        create_users=create_users,
        user=user,
        tell=lambda line: typer.echo(line, err=True),
    )
    report = run(importing)
    show_rows(report.rows, ("table", "new", "known", "refused"), as_json=as_json)
    for error in report.errors:
        typer.echo(error, err=True)
    if report.open_without_request:
        typer.echo(
            f"{report.open_without_request} open jobs name no provider's request: they wait for `reelay start`",
            err=True,
        )
    if not apply:
        typer.echo("Nothing was changed: this was a dry run. Do it with --apply.", err=True)
    if report.errors:
        raise typer.Exit(1)


@app.command("start")
def start_job(job_id: UUID, data_dir: DataDirOption = None) -> None:
    """Let Reelay submit an open job that another backend wrote. Nothing is charged to its user."""
    run(load("devstack.external").start(find_data_dir(data_dir), job_id))


for command in (watch, jobs, status, cancel, models, doctor):
    app.command()(command)


def show_credits(credits: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(credits))
        return
    budget = credits["monthlyBudgetCents"]
    typer.echo(
        f"{credits['user']}  {credits['availableCents']} cents available, {credits['heldCents']} held, "
        f"{credits['balanceCents']} in all" + ("" if budget is None else f"; at most {budget} a month")
    )


def duration(text: str) -> timedelta:
    """`30d`, `12h`, `90m` or `45s`, no longer than a hundred years."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    lifetime = timedelta(seconds=int(found[1]) * SECONDS_OF[found[2]]) if found else None
    if lifetime is None or lifetime > LONGEST_LIFETIME:
        raise typer.BadParameter(f"{text!r} is not a duration such as 30d, 12h, 90m or 45s, of a hundred years at most")
    return lifetime


def settings() -> Any:
    """The environment's, if a process may start with them. What is wrong names the variable, never its value."""
    try:
        configured = load("settings").Settings()
    except ValidationError as error:
        leave_unstarted(load("settings").complaints(error))
    if troubles := configured.unfit_for_production():
        leave_unstarted(troubles)
    return configured


def leave_unstarted(troubles: list[str]) -> NoReturn:
    leave("\n  ".join(["the environment is not as it must be:", *troubles]))


if __name__ == "__main__":
    app()
