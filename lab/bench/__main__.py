"""`python -m lab.bench`."""

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown

from lab.bench.document import lines_of_run
from lab.bench.goals import lines_of_goals
from lab.bench.plan import FULL, SHORT, Plan
from lab.bench.run import run_bench
from reelay.cli.errors import StackError

RESULTS = Path(__file__).parent / "results"
# Where `reelay dev` has its data: measured on the same disk.
FOLDER = Path(".reelay")


def plan_of(full: bool, only: list[str]) -> Plan:
    """Raises: typer.BadParameter."""
    if not only:
        return FULL if full else SHORT
    try:
        named = (each.partition("=") for each in only)
        return FULL.only({name: int(size) if size else None for name, _, size in named})
    except (LookupError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None


def main(
    full: Annotated[
        bool, typer.Option("--full/--short", help="Half an hour at most, with all studies; or two minutes.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="A study by itself, without a limit to its time; with a size, of that size: waiting=10000. Can be "
            f"repeated: {', '.join(f'{name}={size}' for name, size in FULL.studies.items())}."
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Where the results go, else into lab/bench/results/.")] = None,
) -> None:
    """Measure Reelay beside what one would have instead, on servers of its own. The tables stand beside the results."""
    path = json or RESULTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.json"
    plan, progress = plan_of(full, only or []), Console(stderr=True)
    FOLDER.mkdir(exist_ok=True)
    folder = Path(mkdtemp(prefix="bench-", dir=FOLDER.absolute()))
    folder.chmod(0o755)  # under root, Postgres runs as somebody else
    try:
        results = asyncio.run(run_bench(folder, plan, progress.out, lambda results: results.write(path)))
    except StackError as error:
        progress.out(f"bench: {error}" + (f"; what there is: {path}" if path.exists() else ""))
        raise typer.Exit(1) from None
    finally:
        shutil.rmtree(folder)
    tables = "\n".join([*lines_of_run(results), "", *lines_of_goals(results)])
    path.with_suffix(".md").write_text(tables + "\n", encoding="utf-8")
    terminal = Console()
    terminal.print(Markdown(tables)) if terminal.is_terminal else terminal.out(tables)
    progress.out(f"results: {path}")
    for name, why in results.failures.items():
        progress.out(f"bench: {name}: {why}")
    if results.failures:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
