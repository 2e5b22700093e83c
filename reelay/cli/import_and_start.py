"""Rows of other applications: `reelay import` and `reelay start`."""

from typing import Annotated
from uuid import UUID

import typer

from reelay.cli.exit_codes import run
from reelay.cli.output import JsonOption, show_rows
from reelay.cli.service import DataDirOption, find_data_dir


def import_rows(
    source: Annotated[
        str,
        typer.Argument(help="A Postgres URL, a file of `pg_dump --data-only`, or a folder of TABLE.csv, TABLE.jsonl."),
    ],
    apply: Annotated[bool, typer.Option("--apply", help="Write the rows. Without it this is a dry run.")] = False,
    create_users: Annotated[bool, typer.Option("--create-users", help="Create users that do not exist.")] = False,
    user: Annotated[str | None, typer.Option(help="The owner of rows that name no user, by name or id.")] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Import campaigns, clips, jobs and videos of another application, with their ids. Nothing is submitted.

    Safe to repeat: what is there already stays as it is. Exits with 1 when rows were refused.
    """
    from reelay.cli import importer

    work = importer.import_rows(
        find_data_dir(data_dir),
        source,
        apply=apply,
        create_users=create_users,
        user=user,
        report_progress=lambda line: typer.echo(line, err=True),
    )
    report = run(work)
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


def start_job(job_id: UUID, data_dir: DataDirOption = None) -> None:
    """Let Reelay submit an open job that another backend wrote. Nothing is charged to its user."""
    from reelay.cli import external

    run(external.start(find_data_dir(data_dir), job_id))
