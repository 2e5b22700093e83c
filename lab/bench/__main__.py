"""`python -m lab.bench`."""

import asyncio
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import typer
from rich.console import Console

from lab.bench.plan import FULL, SHORT, STUDIES
from lab.bench.run import run_bench
from reelay.cli.errors import StackError

RESULTS = Path(__file__).parent / "results"
# Where `reelay dev` has its data: measured on the same disk.
FOLDER = Path(".reelay")


def main(
    full: Annotated[
        bool,
        typer.Option(
            "--full/--short",
            help="Under 15 minutes, with all studies; or under 2.",
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help=f"A study by itself, without a limit to its time: {', '.join(STUDIES)}. Can be repeated."),
    ] = None,
    waiting: Annotated[int, typer.Option(help="How many wait for their webhook at once.")] = FULL.waiting,
    events: Annotated[int, typer.Option(help="How many are told to endpoints at once.")] = FULL.events,
    film_seconds: Annotated[int, typer.Option(help="The length of the film that is mixed.")] = FULL.film_seconds,
    pruned: Annotated[int, typer.Option(help="How many are deleted beside those under way.")] = FULL.pruned,
    in_line: Annotated[int, typer.Option(help="How many wait for a slot at once.")] = FULL.in_line,
    json: Annotated[Path | None, typer.Option(help="Where the results go, else into lab/bench/results/.")] = None,
) -> None:
    """Measure Reelay beside what one would have instead, on servers of its own."""
    path = json or RESULTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.json"
    progress = Console(stderr=True)
    try:
        everything = replace(
            FULL,
            waiting=waiting,
            events=events,
            film_seconds=film_seconds,
            pruned=pruned,
            in_line=in_line,
        )
        plan = replace(everything, limit=None).only(only) if only else everything if full else SHORT
    except LookupError as error:
        raise typer.BadParameter(str(error)) from None
    FOLDER.mkdir(exist_ok=True)
    folder = Path(mkdtemp(prefix="bench-", dir=FOLDER.absolute()))
    folder.chmod(0o755)  # under root, Postgres runs as somebody else
    try:
        report = asyncio.run(run_bench(folder, plan, progress.out, lambda report: report.write(path)))
    except StackError as error:
        progress.out(f"bench: {error}" + (f"; what there is: {path}" if path.exists() else ""))
        raise typer.Exit(1) from None
    finally:
        shutil.rmtree(folder)
    plain = Console()
    report.show(plain if plain.is_terminal else Console(width=160))
    progress.out(f"results: {path}")
    for problem in (*report.broken_promises, *(f"{name}: {why}" for name, why in report.failures.items())):
        progress.out(f"bench: {problem}")
    if report.broken_promises or report.failures:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
