"""`reelay batch`: a job for each line of a table."""

import csv
import hashlib
import json
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from reelay.cli.errors import StackError
from reelay.cli.exit_codes import Exit, run
from reelay.cli.output import console
from reelay.cli.service import DataDirOption, service
from reelay_client import AsyncReelay, Batch, File, Job
from reelay_client.async_client import PATIENCE_SECONDS

POLL_SECONDS = 1.0


def batch(
    table: Annotated[
        Path, typer.Argument(help="CSV with a header: a column for each input, and `model` if they differ.")
    ],
    model: Annotated[str | None, typer.Option(help="For the lines without one.")] = None,
    out: Annotated[Path | None, typer.Option(help="Store the media in this folder.")] = None,
    confirm: Annotated[bool, typer.Option(help="Accept prices above the interactive budget.")] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Create a job for each line of a table, all or none, and wait for them.

    Said again with the same table, it goes on with the same jobs: nothing is bought twice.
    """
    failed = run(run_batch(table, model, out, data_dir, confirm=confirm))
    if failed:
        raise typer.Exit(Exit.FAILED)


async def run_batch(table: Path, model: str | None, out: Path | None, data_dir: Path | None, *, confirm: bool) -> int:
    """How many of the jobs did not complete. Raises: StackError, ReelayError."""
    jobs = read_table(table, model, confirm=confirm)
    key = hashlib.sha256(json.dumps(jobs, sort_keys=True).encode()).hexdigest()
    async with service(data_dir, patience=PATIENCE_SECONDS) as reelay:
        created = await reelay.create_batch(jobs, idempotency_key=key)
        typer.echo(f"batch {created.batch_id}: {len(jobs)} jobs, {created.estimated_cost_cents} cents at most")
        await show_progress(reelay, created.batch_id)
        if out is not None:
            for position, job_id in enumerate(created.job_ids):
                await store(reelay, await reelay.job(job_id), out, position)
        ended = await reelay.batch(created.batch_id)
    typer.echo(counts_of(ended))
    return ended.total - ended.counts["completed"]


def read_table(table: Path, model: str | None, *, confirm: bool) -> list[dict[str, Any]]:
    """The jobs. An empty cell leaves its input out; a number, `true` or `false` is one. Raises: StackError."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StackError(f"cannot read {table}: {error}") from error
    if not rows:
        raise StackError(f"{table} has no lines under its header")
    jobs = []
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise StackError(f"{table}, line {number}: it has not as many cells as the header")
        inputs = {name: parse_cell(cell) for name, cell in row.items() if cell and name != "model"}
        named = row.get("model") or model
        if not named:
            raise StackError(f"{table}, line {number}: no model: give the table a column, or --model")
        jobs.append({"model": named, "input": inputs, "confirm": confirm})
    return jobs


def parse_cell(cell: str) -> Any:
    try:
        value = json.loads(cell)
    except ValueError:
        return cell
    return value if isinstance(value, bool | int | float) else cell


async def show_progress(reelay: AsyncReelay, batch_id: UUID) -> None:
    """Until all of its jobs have ended."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    shown = console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[counts]}"))
    with Progress(*columns, console=shown, disable=not shown.is_terminal) as progress:
        task = progress.add_task("", total=None, counts="")
        async with aclosing(reelay.watch_batch(batch_id, poll_seconds=POLL_SECONDS)) as states:
            async for batch in states:
                ended = sum(batch.counts[status] for status in ("completed", "failed", "canceled"))
                progress.update(task, total=batch.total, completed=ended, counts=counts_of(batch))


def counts_of(batch: Batch) -> str:
    return ", ".join(f"{count} {status}" for status, count in batch.counts.items() if count)


async def store(reelay: AsyncReelay, job: Job, out: Path, position: int) -> None:
    """The job's files, under the number of its line. What is there already is left as it is."""
    for file, to in missing_files(job, out, position):
        await reelay.download(job, to, name=file.name)


def missing_files(job: Job, out: Path, position: int) -> list[tuple[File, Path]]:
    out.mkdir(parents=True, exist_ok=True)
    places = [(file, out / f"{position + 1:04d}-{file.name}") for file in job.files]
    return [(file, to) for file, to in places if not (to.exists() and to.stat().st_size == file.file_size)]
