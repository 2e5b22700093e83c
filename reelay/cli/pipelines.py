"""`reelay produce` and `reelay pipelines`: finished clips, and plans of jobs and mixes."""

import json
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from reelay.cli.errors import StackError
from reelay.cli.exit_codes import Exit, run
from reelay.cli.output import JsonOption, show_files, show_rows
from reelay.cli.service import DataDirOption, service
from reelay_client.async_client import PATIENCE_SECONDS

if TYPE_CHECKING:
    from reelay_client import AsyncReelay, Pipeline, PipelinePlan

app = typer.Typer(no_args_is_help=True, help="List, follow, approve, cancel, retry and rerun pipelines.")
COLUMNS = ("id", "status", "name", "progress", "costCents", "createdAt")
FILM = "film"

PipelineId = Annotated[UUID, typer.Argument(help="The pipeline's id.")]
StepId = Annotated[str, typer.Argument(help="The step's id.")]
Note = Annotated[str, typer.Option(help="Why; it is shown with the step.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would do and cost, and create nothing.")]


def produce(
    video: Annotated[str | None, typer.Argument(help="What the video shows.")] = None,
    first_frame: Annotated[str | None, typer.Option(help="The picture that it starts from.")] = None,
    voice: Annotated[str | None, typer.Option(help="What is spoken over it.")] = None,
    ambient: Annotated[str | None, typer.Option(help="The sound beneath it.")] = None,
    captions: Annotated[bool, typer.Option(help="Show the voice's words.")] = False,
    model: Annotated[str | None, typer.Option(help="Of the video.")] = None,
    clip: Annotated[UUID | None, typer.Option(help="The clip that it fills; a new one unless given.")] = None,
    campaign: Annotated[
        UUID | None, typer.Option(help="Make the films of all its clips, of what their `metadata.parts` say.")
    ] = None,
    dry_run: DryRun = False,
    approve: Annotated[list[str] | None, typer.Option(help="A step whose result waits for your approval.")] = None,
    budget_cents: Annotated[int | None, typer.Option(help="The most that it may cost.")] = None,
    out: Annotated[Path | None, typer.Option(help="Store the film here.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Make a finished clip: first frame, video, voice, ambient sound and captions, as one film."""
    if campaign is not None:
        if any((video, first_frame, voice, ambient, captions, model, clip, out)):
            raise typer.BadParameter("its clips say what they are made of", param_hint="--campaign")
        run(produce_campaign(campaign, dry_run, data_dir, approvals=approve or [], budgetCents=budget_cents))
        return
    if video is None:
        raise typer.BadParameter("VIDEO or --campaign is needed", param_hint="VIDEO")
    parts: dict[str, Any] = {"video": {"prompt": video, **({"model": model} if model else {})}}
    if first_frame:
        parts["firstFrame"] = {"prompt": first_frame}
    if voice:
        parts["voice"] = {"text": voice}
    if ambient:
        parts["ambient"] = {"prompt": ambient}
    parts |= {"captions": captions, "approvals": approve or [], "budgetCents": budget_cents}
    run(run_produce(parts, clip, out, data_dir, title=video[:200]))


async def run_produce(
    parts: dict[str, Any], clip_id: UUID | None, out: Path | None, data_dir: Path | None, *, title: str
) -> None:
    """Raises: StackError, ReelayError."""
    async with service(data_dir, patience=PATIENCE_SECONDS) as reelay:
        if clip_id is None:
            campaign = await reelay.create_campaign("reelay produce")
            clip_id = (await reelay.create_clip(campaign.id, title=title)).id
        created = await reelay.produce(clip_id, **parts)
        typer.echo(f"pipeline {created.pipeline_id}: {created.estimated_cost_cents} cents at most, clip {clip_id}")
        await finish(reelay, await follow(reelay, created.pipeline_id), out)


async def produce_campaign(campaign_id: UUID, dry_run: bool, data_dir: Path | None, **more: Any) -> None:
    """Raises: StackError, ReelayError, typer.Exit when a film was not made."""
    async with service(data_dir, patience=PATIENCE_SECONDS) as reelay:
        titles = {clip.id: clip.title or str(clip.id) for clip in (await reelay.campaign(campaign_id)).clips}
        clips: dict[UUID, dict[str, Any]] = {clip_id: {} for clip_id in titles}
        if dry_run:
            plan = await reelay.plan_campaign(campaign_id, clips, **more)
            for clip_id, title in titles.items():
                typer.echo(f"{title:<30}{plan.clips[clip_id].estimated_cost_cents} cents")
            typer.echo(f"{plan.estimated_cost_cents} cents in all")
            return
        created = await reelay.produce_campaign(campaign_id, clips, **more)
        typer.echo(f"{len(created.pipelines)} films: {created.estimated_cost_cents} cents at most")
        statuses = [
            await follow_film(reelay, titles[clip_id], created.pipelines[clip_id])
            for clip_id in titles
            if clip_id in created.pipelines
        ]
    if set(statuses) - {"completed", "waiting_for_approval"}:
        raise typer.Exit(Exit.FAILED)


async def follow_film(reelay: "AsyncReelay", title: str, pipeline_id: UUID) -> str:
    """Its last status. The others go on meanwhile."""
    typer.echo(f"{title}  {pipeline_id}")
    pipeline = await follow(reelay, pipeline_id)
    typer.echo(f"{title}  {pipeline.status}, {pipeline.cost_cents} cents")
    return pipeline.status


@app.command("list")
def list_pipelines(
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the newest first.")] = 20,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """List your pipelines."""
    show_rows(run(newest(limit, data_dir)), COLUMNS, as_json=as_json)


async def newest(limit: int, data_dir: Path | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with service(data_dir) as reelay, aclosing(reelay.pipelines()) as pipelines:
        async for pipeline in pipelines:
            if len(found) == limit:
                break
            found.append(pipeline.document)
    return found


@app.command()
def show(pipeline_id: PipelineId, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Show one with its steps."""
    pipeline = run(called(data_dir, "pipeline", pipeline_id))
    if as_json:
        typer.echo(json.dumps(pipeline.document, indent=2))
    else:
        echo_steps(pipeline)


@app.command()
def watch(
    pipeline_id: PipelineId,
    out: Annotated[Path | None, typer.Option(help="Store the film here.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Follow one to its end."""

    async def watched() -> None:
        async with service(data_dir, patience=PATIENCE_SECONDS) as reelay:
            await finish(reelay, await follow(reelay, pipeline_id), out)

    run(watched())


@app.command()
def create(
    plan: Annotated[Path, typer.Argument(help="JSON: the body of `POST /api/pipelines`.")],
    dry_run: DryRun = False,
    data_dir: DataDirOption = None,
) -> None:
    """Create one from a file, and follow it."""
    body = read_plan(plan)
    steps = body.pop("steps", {})
    if dry_run:
        echo_plan(run(called(data_dir, "plan_pipeline", steps, **body)))
        return

    async def created() -> None:
        async with service(data_dir, patience=PATIENCE_SECONDS) as reelay:
            made = await reelay.create_pipeline(steps, **body)
            typer.echo(f"pipeline {made.pipeline_id}: {made.estimated_cost_cents} cents at most")
            await finish(reelay, await follow(reelay, made.pipeline_id), None)

    run(created())


@app.command()
def approve(pipeline_id: PipelineId, step: StepId, note: Note = "", data_dir: DataDirOption = None) -> None:
    """Approve the result of a step: what needs it begins."""
    echo_steps(run(called(data_dir, "approve_step", pipeline_id, step, note=note)))


@app.command()
def reject(pipeline_id: PipelineId, step: StepId, note: Note = "", data_dir: DataDirOption = None) -> None:
    """Reject the result of a step: what needs it is skipped."""
    echo_steps(run(called(data_dir, "reject_step", pipeline_id, step, note=note)))


@app.command()
def cancel(pipeline_id: PipelineId, data_dir: DataDirOption = None) -> None:
    """Cancel what runs, and skip the rest."""
    echo_steps(run(called(data_dir, "cancel_pipeline", pipeline_id)))


@app.command()
def retry(pipeline_id: PipelineId, data_dir: DataDirOption = None) -> None:
    """Go on with one that failed or was canceled."""
    echo_steps(run(called(data_dir, "retry_pipeline", pipeline_id)))


@app.command()
def rerun(
    pipeline_id: PipelineId,
    changes: Annotated[list[str], typer.Argument(help="`STEP.INPUT=VALUE`, for example `voice.text=Hello`.")],
    dry_run: DryRun = False,
    out: Annotated[Path | None, typer.Option(help="Store the film here.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Make it again with other inputs: what they do not touch is reused."""
    steps = parse_changes(changes)
    if dry_run:
        echo_plan(run(called(data_dir, "plan_rerun", pipeline_id, steps)))
        return

    async def again() -> None:
        async with service(data_dir, patience=PATIENCE_SECONDS) as reelay:
            made = await reelay.rerun_pipeline(pipeline_id, steps)
            typer.echo(f"pipeline {made.pipeline_id}: {made.estimated_cost_cents} cents at most")
            await finish(reelay, await follow(reelay, made.pipeline_id), out)

    run(again())


async def called(data_dir: Path | None, method: str, *arguments: Any, **words: Any) -> Any:
    """What that call of the client answers. Raises: StackError, ReelayError."""
    async with service(data_dir) as reelay:
        return await getattr(reelay, method)(*arguments, **words)


async def follow(reelay: "AsyncReelay", pipeline_id: UUID) -> "Pipeline":
    """The ended pipeline, or one that waits for an approval. A line for each change of a step."""
    shown: dict[str, str] = {}
    async with aclosing(reelay.watch_pipeline(pipeline_id)) as states:
        async for pipeline in states:
            for name, step in pipeline.steps.items():
                if shown.get(name) != step.status:
                    typer.echo(f"{name:<14}{step.status}{f'  {step.error_message}' if step.error_message else ''}")
                    shown[name] = step.status
            if pipeline.status == "waiting_for_approval":
                break
    return pipeline


async def finish(reelay: "AsyncReelay", pipeline: "Pipeline", out: Path | None) -> None:
    if pipeline.status == "waiting_for_approval":
        waiting = [name for name, step in pipeline.steps.items() if step.status == pipeline.status]
        typer.echo(f"waits for: reelay pipelines approve {pipeline.id} {waiting[0]}")
        return
    if pipeline.status != "completed":
        typer.echo(f"pipeline {pipeline.status}")
        raise typer.Exit(Exit.FAILED)
    film = pipeline.steps.get(FILM)
    typer.echo(f"pipeline completed, {pipeline.cost_cents} cents")
    show_files(file.document for file in (film.files if film else []))
    if out and film:
        await reelay.download(await reelay.job(film.job_id), out)


def echo_steps(pipeline: "Pipeline") -> None:
    typer.echo(f"{pipeline.id}  {pipeline.status}  {pipeline.progress}%  {pipeline.name}")
    for name, step in pipeline.steps.items():
        typer.echo(
            f"  {name:<14}{step.status:<22}{step.cost_cents} cents  {step.error_message or step.note or ''}".rstrip()
        )


def echo_plan(plan: "PipelinePlan") -> None:
    for name, step in plan.steps.items():
        typer.echo(f"{name:<14}{step.status:<10}{step.estimated_cost_cents} cents")
    typer.echo(f"{plan.estimated_cost_cents} cents in all")


def read_plan(path: Path) -> dict[str, Any]:
    """Raises: StackError."""
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StackError(f"cannot read {path}: {error}") from error
    if not isinstance(plan, dict):
        raise StackError(f"{path} holds no JSON object")
    return plan


def parse_changes(changes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Raises: StackError."""
    steps: dict[str, dict[str, Any]] = {}
    for change in changes:
        place, equals, value = change.partition("=")
        step, dot, name = place.partition(".")
        if not (equals and dot and step and name):
            raise StackError(f"{change}: it must be STEP.INPUT=VALUE")
        try:
            steps.setdefault(step, {})[name] = json.loads(value)
        except ValueError:
            steps.setdefault(step, {})[name] = value
    return steps
