"""`reelay models`: the catalogue on the terminal, and `reelay models import`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from reelay.cli.exit_codes import Exit, exit_with, run
from reelay.cli.output import JsonOption, show_rows
from reelay.cli.service import DataDirOption, ask, find_data_dir

MODEL_COLUMNS = ("name", "kind", "provider", "firstFrame", "expectedSeconds", "price")
INPUT_COLUMNS = ("name", "type", "required", "default", "limit", "about")
UNPRICED = {"words": "unknown: a request names the most that it may cost"}
SHOW = "show"


class NamesAreCommands(TyperGroup):
    """`reelay models veo3.1` is short for `reelay models show veo3.1`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else [SHOW, *args])


app = typer.Typer(cls=NamesAreCommands, invoke_without_command=True)


@app.callback()
def models(context: typer.Context, as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """List the models; with a name, the inputs of that one."""
    if context.invoked_subcommand is None:
        found = run(ask(data_dir, "/api/models"))["data"]
        show_rows(found if as_json else one_row_per_model(found), MODEL_COLUMNS, as_json=as_json)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A model's name, or the id of any endpoint of fal.")],
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Show the inputs of one model."""
    named = [model for model in run(ask(data_dir, "/api/models"))["data"] if name == model["name"]]
    if not named and "/" in name:
        named = [run(ask(data_dir, f"/api/models/{name}"))]
    if not named:
        exit_with(f"there is no model {name}: `reelay models` lists all", Exit.USAGE)
    show_rows(named if as_json else inputs_of(named), INPUT_COLUMNS, as_json=as_json)


@app.command("import")
def import_(
    endpoint: Annotated[str, typer.Argument(help="An endpoint of fal, e.g. `fal-ai/flux/dev`.")],
    to: Annotated[Path | None, typer.Option(help="The folder of the file; else CATALOG_DIR, else this one.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write a catalogue file out of what fal publishes of an endpoint, for you to finish."""
    from reelay.cli.models_import import import_model

    typer.echo(run(import_model(find_data_dir(data_dir), endpoint, to)))


def one_row_per_model(endpoints: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per model: that it may begin with a frame is a property, not another model."""
    rows: dict[str, dict[str, Any]] = {}
    for endpoint in sorted(endpoints, key=lambda endpoint: bool(endpoint["takesFirstFrame"])):
        row = {**endpoint, "price": (endpoint["price"] or UNPRICED)["words"], "firstFrame": ""}
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
