"""Jobs, on the terminal."""

from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from reelay.cli.exit_codes import run
from reelay.cli.generate import (
    ConfirmOption,
    KeyOption,
    WatchOption,
    parse_settings,
    watch_or_tell,
    with_named_files,
    with_uploads,
)
from reelay.cli.output import JsonLinesOption, JsonOption, show_job, show_rows
from reelay.cli.service import DataDirOption, ask, service
from reelay.cli.watch import OutputOption, watch_to_end
from reelay_client import Job

LARGEST_PAGE = 100
JOB_COLUMNS = ("id", "model", "status", "progress", "createdAt", "progressMessage")


def watch(
    job_id: UUID, output: OutputOption = None, as_json: JsonLinesOption = False, data_dir: DataDirOption = None
) -> None:
    """Follow a job to its end. Exits with 1 unless it completes. Ctrl-C leaves the job running."""
    watch_to_end(job_id, data_dir, output, as_json=as_json)


def jobs(
    status: Annotated[str | None, typer.Option(help="A status, or `active`.")] = None,
    kind: Annotated[str | None, typer.Option("--type", help="A job's type, or `video` for all videos.")] = None,
    clip: Annotated[UUID | None, typer.Option(help="Jobs of one clip.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """List jobs, newest first."""
    filters = {"status": status, "type": kind, "clipId": str(clip) if clip else None}
    show_rows(run(_newest(data_dir, limit, filters)), JOB_COLUMNS, as_json=as_json)


def status(job_id: UUID, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show a job as it is now."""
    show_job(run(ask(data_dir, f"/api/jobs/{job_id}")), as_json=as_json)


def cancel(job_id: UUID, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Stop a job, here and as far as possible at the provider."""
    show_job(run(_cancel(data_dir, job_id)).document, as_json=as_json)


def retry(
    job_id: UUID,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="An input that changes, e.g. duration=8; seed=null removes it. A file is uploaded."),
    ] = None,
    confirm: ConfirmOption = False,
    key: KeyOption = None,
    watch: WatchOption = True,
    output: OutputOption = None,
    as_json: JsonLinesOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Create a new job from one that failed or was canceled, and follow it. Exits with 1 unless it completes."""
    inputs = with_named_files(parse_settings(changes or []))
    new_job_id = run(_retry(data_dir, job_id, inputs, confirm=confirm, key=key))
    watch_or_tell(new_job_id, data_dir, output, watch=watch, as_json=as_json)


async def _newest(data_dir: Path | None, limit: int, filters: dict[str, str | None]) -> list[dict[str, Any]]:
    """As many as there are, by as many pages as it takes."""
    found: list[dict[str, Any]] = []
    async with (
        service(data_dir) as reelay,
        aclosing(reelay.pages("/api/jobs", limit=min(limit, LARGEST_PAGE), **filters)) as documents,
    ):
        async for document in documents:
            found.append(document)
            if len(found) == limit:
                break
    return found


async def _cancel(data_dir: Path | None, job_id: UUID) -> Job:
    async with service(data_dir) as reelay:
        return await reelay.cancel(job_id)


async def _retry(
    data_dir: Path | None, job_id: UUID, inputs: dict[str, Any], *, confirm: bool, key: str | None
) -> UUID:
    async with service(data_dir) as reelay:
        changes = await with_uploads(reelay, inputs)
        return (await reelay.retry(job_id, input=changes, confirm=confirm, idempotency_key=key)).job_id
