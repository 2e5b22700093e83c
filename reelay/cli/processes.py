"""The processes of Reelay, and the schema that they need: `reelay api`, `worker`, `migrate`."""

import asyncio
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from pydantic import ValidationError

from reelay.cli.exit_codes import exit_with, run
from reelay.cli.output import JsonOption, show_rows
from reelay.cli.service import DataDirOption, find_data_dir
from reelay.process_secrets import Process

if TYPE_CHECKING:
    from reelay.settings import Settings
    from workflows.task_queues import TaskQueue


def api(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the HTTP API."""
    from api import app, server
    from reelay import logs

    configured = configured_settings(Process.API)
    logs.configure_logs(configured.secrets)
    server.serve(app.create_app(configured), configured, host=host, port=port)


QUEUES = "generations,transfers,webhooks"


def worker(
    queues: Annotated[
        str,
        typer.Option(
            help="Which tasks to take, by commas: `generations`, `transfers` (of media), `webhooks` (to users)."
        ),
    ] = QUEUES,
) -> None:
    """Run workflows and activities."""
    from reelay import logs
    from worker import run_worker

    chosen = parse_queues(queues)
    configured = configured_settings(*(Process(queue) for queue in chosen))
    logs.configure_logs(configured.secrets)
    asyncio.run(run_worker(configured, chosen))


def parse_queues(names: str) -> "set[TaskQueue]":
    """Raises: BadParameter."""
    from workflows.task_queues import TaskQueue

    known = {queue.value: queue for queue in TaskQueue}
    chosen = [name.strip() for name in names.split(",")]
    if unknown := [name for name in chosen if name not in known]:
        reason = f"{unknown[0]!r} is not a task queue: choose from {', '.join(known)}"
        raise typer.BadParameter(reason, param_hint="--queues")
    return {known[name] for name in chosen}


def migrate(data_dir: DataDirOption = None) -> None:
    """Bring the database to the current schema. Safe to repeat."""
    from reelay.cli.migration import migrate_database

    run(migrate_database(find_data_dir(data_dir)))


def prune(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Have a worker delete what is due now: deleted users, and what RETENTION_DAYS_* say. A schedule does it anyway."""
    from reelay.cli import housekeeping

    pruned = run(housekeeping.prune(find_data_dir(data_dir)))
    show_rows([pruned], tuple(pruned), as_json=as_json)


def configured_settings(*processes: Process) -> "Settings":
    """The environment's, if those may start with them. What is wrong names the variable, never its value."""
    from reelay import settings

    try:
        configured = settings.Settings()
    except ValidationError as error:
        exit_not_started(settings.complaints(error))
    if problems := [*configured.unfit_for_production(frozenset(processes)), *catalog_problems(configured)]:
        exit_not_started(problems)
    return configured.without_secrets_of_others(frozenset(processes))


def catalog_problems(configured: "Settings") -> list[str]:
    from reelay.catalog.loader import load_catalog

    try:
        load_catalog(more=configured.catalog_dir)
    except ValueError as error:
        return [f"CATALOG_DIR: {error}"]
    return []


def exit_not_started(problems: list[str]) -> NoReturn:
    exit_with("\n  ".join(["invalid configuration:", *problems]))
