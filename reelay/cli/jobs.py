"""Jobs and models, on the terminal."""

from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from reelay.cli.exit_codes import Exit, exit_with, run
from reelay.cli.output import JsonLinesOption, JsonOption, show_job, show_rows
from reelay.cli.service import DataDirOption, ask, service
from reelay.cli.watch import OutputOption, watch_to_end
from reelay_client import Job

LARGEST_PAGE = 100
JOB_COLUMNS = ("id", "model", "status", "progress", "createdAt", "progressMessage")
MODEL_COLUMNS = ("name", "kind", "provider", "firstFrame", "expectedSeconds", "price")
INPUT_COLUMNS = ("name", "type", "required", "default", "limit", "about")


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


def models(
    name: Annotated[str | None, typer.Argument(help="Show the inputs of this model.")] = None,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """List the models, or the inputs of one."""
    found = run(ask(data_dir, "/api/models"))["data"]
    named = [model for model in found if name in (None, model["name"])]
    if not named:
        exit_with(f"there is no model {name}: `reelay models` lists all", Exit.USAGE)
    if name and not as_json:
        show_rows(inputs_of(named), INPUT_COLUMNS, as_json=False)
    else:
        show_rows(named if as_json else one_row_per_model(named), MODEL_COLUMNS, as_json=as_json)


def one_row_per_model(endpoints: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per model: that it may begin with a frame is a property, not another model."""
    rows: dict[str, dict[str, Any]] = {}
    for endpoint in sorted(endpoints, key=lambda endpoint: bool(endpoint["takesFirstFrame"])):
        row = {**endpoint, "price": endpoint["price"]["words"], "firstFrame": ""}
        first = rows.setdefault(endpoint["name"], row)
        if endpoint["takesFirstFrame"]:
            first["firstFrame"] = "required" if first is row else "optional"
    kinds = [endpoint["kind"] for endpoint in endpoints]
    return sorted(rows.values(), key=lambda row: kinds.index(row["kind"]))


def inputs_of(endpoints: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The inputs of a model's endpoints, each once. Required is what all of them require."""
    rows: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        for item in endpoint["inputs"]:
            rows.setdefault(item["name"], item)
    needed = [{item["name"] for item in endpoint["inputs"] if item["required"]} for endpoint in endpoints]
    required = set.intersection(*needed)
    return [
        {**row, "required": "yes" if name in required else "", "limit": format_limit(row["limit"])}
        for name, row in rows.items()
    ]


def format_limit(limit: Any) -> str:
    if isinstance(limit, list):
        return ", ".join(map(str, limit))
    if isinstance(limit, dict):
        return ", ".join(f"{name} {format_limit(value)}" for name, value in limit.items())
    return "" if limit is None else str(limit)


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
