"""Watching a job from the terminal: `generate` and `watch`."""

import json
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from reelay.cli.exit_codes import Exit, run
from reelay.cli.output import console, show_job
from reelay.cli.service import service
from reelay_client import AsyncReelay, Job
from reelay_client.async_client import PATIENCE_SECONDS

OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Store the media in this file (or folder) when it is done.")
]


def watch_to_end(job_id: UUID, data_dir: Path | None, output: Path | None, *, as_json: bool) -> None:
    """Show the job until it has ended, and store its media. The exit code says how it ended."""
    try:
        job = run(_watch(job_id, data_dir, output, as_json=as_json))
    except typer.Exit as ended:
        if ended.exit_code == Exit.INTERRUPTED:
            typer.echo(f"The job continues. To follow it: reelay watch {job_id}", err=True)
        raise
    if job.status != "completed":
        raise typer.Exit(Exit.FAILED)


async def _watch(job_id: UUID, data_dir: Path | None, output: Path | None, *, as_json: bool) -> Job:
    from reelay.cli import progress_bar

    async with service(data_dir, patience=PATIENCE_SECONDS) as reelay:
        if as_json:
            job = await _print_changes(reelay, job_id)
        else:
            job = await progress_bar.follow(reelay, job_id, console())
            show_job(job.document, as_json=False)
        if output and job.status == "completed":
            to = output_path(job, output)
            await _store(reelay, job, to)
            typer.echo(f"stored in {to}", err=as_json)
        return job


async def _print_changes(reelay: AsyncReelay, job_id: UUID) -> Job:
    async for job in reelay.watch(job_id):
        typer.echo(json.dumps(job.document))
    return job


def output_path(job: Job, output: Path) -> Path:
    """The file, or in a folder one called as the media is."""
    return output / job.files[0].name if output.is_dir() and job.files else output


async def _store(reelay: AsyncReelay, job: Job, to: Path) -> None:
    from rich.progress import BarColumn, DownloadColumn, Progress

    shown = console(stderr=True)
    columns = ("downloading", BarColumn(), DownloadColumn())
    with Progress(*columns, console=shown, disable=not shown.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def show(so_far: int, in_all: int) -> None:
            progress.update(task, completed=so_far, total=in_all)

        await reelay.download(job, to, on_bytes=show)
