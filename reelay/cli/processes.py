"""The processes of Reelay, and the schema that they need: `reelay api`, `worker`, `migrate`."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from reelay.cli.exit_codes import Exit, exit_at_once, run
from reelay.cli.output import JsonOption, show_rows
from reelay.cli.service import DataDirOption, find_data_dir
from reelay.process_secrets import Process

if TYPE_CHECKING:
    from workflows.task_queues import TaskQueue


def api(host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve the HTTP API."""
    from api import app, server
    from reelay import logs
    from reelay.cli.preflight import configured_settings

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
    from reelay.cli.preflight import configured_settings
    from worker import run_worker
    from workflows.client import NotConnected

    chosen = parse_queues(queues)
    configured = configured_settings(*(Process(queue) for queue in chosen))
    logs.configure_logs(configured.secrets)
    try:
        asyncio.run(run_worker(configured, chosen))
    except NotConnected as error:
        exit_at_once(str(error), Exit.NOT_REACHABLE)


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
