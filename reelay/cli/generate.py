"""`reelay generate`: one command per kind of media, with what most of its models take. `--set` gives them the rest."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from typer.core import TyperGroup

from reelay.cli.exit_codes import run
from reelay.cli.output import JsonLinesOption
from reelay.cli.service import DataDirOption, service
from reelay.cli.watch import OutputOption, watch_to_end
from reelay_client import AsyncReelay

FILE_INPUTS = ("firstFrameUrl", "audioUrl")
ADDRESS = re.compile(r"(https?|asset|job):")
PATH = re.compile(r"\.{0,2}/|~/")
"""What begins like this in `--set` may be a file."""


class VideoByDefault(TyperGroup):
    """`reelay generate "a lighthouse"` is a video."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["video", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=VideoByDefault,
    help='Generate media and follow the job. `reelay generate "a lighthouse"` is a video.',
    epilog="Exits with 0 when the job completed. Other inputs of a model, for --set: reelay models <name>.",
    no_args_is_help=True,
)

Prompt = Annotated[str, typer.Argument(help="What to generate.")]
ModelOption = Annotated[str | None, typer.Option("--model", help="One of `reelay models`.")]
AspectRatioOption = Annotated[str | None, typer.Option(help="E.g. 16:9.")]
DurationOption = Annotated[float | None, typer.Option(help="Seconds.")]
SeedOption = Annotated[int | None, typer.Option(help="The same seed and input give about the same media.")]
MoreOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other input, e.g. cfgScale=0.7, or imageUrls=./a.png: again for a list."),
]
ClipOption = Annotated[UUID | None, typer.Option(help="The clip to update with the media.")]
CampaignOption = Annotated[UUID | None, typer.Option(help="The clip's campaign.")]
ConfirmOption = Annotated[bool, typer.Option(help="Accept a price above the interactive budget.")]
KeyOption = Annotated[
    str | None,
    typer.Option("--idempotency-key", help="Requests with the same key create one job."),
]
WatchOption = Annotated[bool, typer.Option(help="Wait until the job ends, or print its id and exit.")]


class Quality(StrEnum):
    STANDARD = "standard"
    FAST = "fast"


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """What every kind takes."""

    model: str | None
    more: list[str] | None
    clip: UUID | None
    campaign: UUID | None
    confirm: bool
    key: str | None
    watch: bool
    output: Path | None
    as_json: bool
    data_dir: Path | None

    def generate(self, kind: str, **inputs: Any) -> None:
        inputs = {
            **inputs,
            "model": self.model,
            "clipId": self.clip and str(self.clip),
            "campaignId": self.campaign and str(self.campaign),
            "confirm": self.confirm or None,
            **parse_settings(self.more or []),
        }
        given = with_named_files({name: value for name, value in inputs.items() if value is not None})
        job_id = run(_submit(self.data_dir, kind, given, self.key))
        watch_or_tell(job_id, self.data_dir, self.output, watch=self.watch, as_json=self.as_json)


@app.command()
def video(
    prompt: Prompt,
    first_frame: Annotated[
        str | None, typer.Option(help="The first frame: a file, its URL, asset:ID or job:ID.")
    ] = None,
    duration: DurationOption = None,
    quality: Quality | None = None,
    aspect_ratio: AspectRatioOption = None,
    resolution: Annotated[str | None, typer.Option(help="E.g. 1080p.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What the video should not show.")] = None,
    seed: SeedOption = None,
    model: ModelOption = None,
    more: MoreOption = None,
    clip: ClipOption = None,
    campaign: CampaignOption = None,
    confirm: ConfirmOption = False,
    key: KeyOption = None,
    watch: WatchOption = True,
    output: OutputOption = None,
    as_json: JsonLinesOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Generate a video from a prompt, or from a prompt and a first frame."""
    _options(locals()).generate(
        "video",
        prompt=prompt,
        firstFrameUrl=first_frame,
        duration=duration,
        quality=quality,
        aspectRatio=aspect_ratio,
        resolution=resolution,
        negativePrompt=negative_prompt,
        seed=seed,
    )


@app.command()
def first_frame(
    prompt: Prompt,
    aspect_ratio: AspectRatioOption = None,
    images: Annotated[int | None, typer.Option(help="How many.")] = None,
    seed: SeedOption = None,
    model: ModelOption = None,
    more: MoreOption = None,
    clip: ClipOption = None,
    campaign: CampaignOption = None,
    confirm: ConfirmOption = False,
    key: KeyOption = None,
    watch: WatchOption = True,
    output: OutputOption = None,
    as_json: JsonLinesOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Generate an image to start a video from."""
    _options(locals()).generate("first-frame", prompt=prompt, aspectRatio=aspect_ratio, numImages=images, seed=seed)


@app.command()
def voice(
    text: Annotated[str, typer.Argument(help="The text to say.")],
    sample: Annotated[str | None, typer.Option(help="A recording of the voice: a file, or its URL.")] = None,
    exaggeration: Annotated[float | None, typer.Option(help="From 0, flat, to 1.")] = None,
    seed: SeedOption = None,
    model: ModelOption = None,
    more: MoreOption = None,
    clip: ClipOption = None,
    campaign: CampaignOption = None,
    confirm: ConfirmOption = False,
    key: KeyOption = None,
    watch: WatchOption = True,
    output: OutputOption = None,
    as_json: JsonLinesOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Generate speech from a text."""
    _options(locals()).generate("voice", text=text, audioUrl=sample, exaggeration=exaggeration, seed=seed)


@app.command()
def ambient(
    prompt: Prompt,
    duration: DurationOption = None,
    loop: Annotated[bool | None, typer.Option(help="Make a sound that loops seamlessly.")] = None,
    model: ModelOption = None,
    more: MoreOption = None,
    clip: ClipOption = None,
    campaign: CampaignOption = None,
    confirm: ConfirmOption = False,
    key: KeyOption = None,
    watch: WatchOption = True,
    output: OutputOption = None,
    as_json: JsonLinesOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Generate an ambient sound."""
    _options(locals()).generate("ambient", prompt=prompt, duration=duration, loop=loop)


@app.command()
def transcribe(
    audio_url: Annotated[str, typer.Argument(help="The recording: a file, or its URL.")],
    language: Annotated[str | None, typer.Option(help="E.g. en; else it is recognised.")] = None,
    task: Annotated[str | None, typer.Option(help="transcribe, or translate.")] = None,
    model: ModelOption = None,
    more: MoreOption = None,
    clip: ClipOption = None,
    campaign: CampaignOption = None,
    confirm: ConfirmOption = False,
    key: KeyOption = None,
    watch: WatchOption = True,
    output: OutputOption = None,
    as_json: JsonLinesOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Transcribe a recording."""
    _options(locals()).generate("transcribe", audioUrl=audio_url, language=language, task=task)


def _options(parameters: dict[str, Any]) -> GenerateOptions:
    return GenerateOptions(**{name: parameters[name] for name in GenerateOptions.__dataclass_fields__})


async def _submit(data_dir: Path | None, kind: str, inputs: Mapping[str, Any], key: str | None) -> UUID:
    async with service(data_dir) as reelay:
        given = await with_uploads(reelay, inputs)
        return (await reelay.create(kind, idempotency_key=key, **given)).job_id


def watch_or_tell(job_id: UUID, data_dir: Path | None, output: Path | None, *, watch: bool, as_json: bool) -> None:
    """Follow a new job to its end, or print its id."""
    if watch or output:
        watch_to_end(job_id, data_dir, output, as_json=as_json)
    else:
        typer.echo(json.dumps({"jobId": str(job_id)}) if as_json else str(job_id))


async def with_uploads(reelay: AsyncReelay, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs, with the uris of the files among them and in their lists, which are uploaded."""

    async def settled(value: Any) -> Any:
        if isinstance(value, Path):
            return (await reelay.upload(value)).uri
        return [await settled(item) for item in value] if isinstance(value, list) else value

    return {name: await settled(value) for name, value in inputs.items()}


def with_named_files(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs, with a path for each that takes nothing but a file and names one here. Raises: BadParameter."""
    named = {name: inputs[name] for name in FILE_INPUTS if isinstance(inputs.get(name), str)}
    return {**inputs, **{name: local_file(value) or value for name, value in named.items()}}


def local_file(value: str) -> Path | None:
    """The file of that path; None for an address and for a file that is there already. Raises: BadParameter."""
    if ADDRESS.match(value):
        return None
    path = Path(value).expanduser()
    if not path.is_file():
        raise typer.BadParameter(f"{value!r} is neither a file nor an address")
    return path


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """The inputs by name: a name that is there several times has a list. Raises: BadParameter."""
    found: dict[str, list[Any]] = {}
    for name, value in map(parse_setting, settings):
        found.setdefault(name, []).append(with_files(value))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def with_files(value: Any) -> Any:
    """Each text, alone or in a list, that is the path of a file here, as a path. Raises: BadParameter."""
    if isinstance(value, list):
        return [with_files(item) for item in value]
    if not isinstance(value, str) or not PATH.match(value):
        return value
    # A text may begin with a slash, and mean no file.
    return value if value.startswith("/") and not Path(value).is_file() else local_file(value)


def parse_setting(setting: str) -> tuple[str, Any]:
    """`name=value`; the value as JSON where it is JSON."""
    name, separator, text = setting.partition("=")
    if not (name and separator):
        raise typer.BadParameter(f"{setting!r} is not name=value")
    try:
        return name, json.loads(text)
    except json.JSONDecodeError:
        return name, text
