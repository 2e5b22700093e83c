"""`python -m bench`."""

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import typer
from rich.console import Console

from bench.plan import FULL, SHORT
from bench.run import run_bench
from devstack.errors import StackError

RESULTS = Path(__file__).parent / "results"
# Where `reelay dev` has its data: measured on the same disk.
FOLDER = Path(".reelay")


def main(
    full: Annotated[bool, typer.Option("--full/--short", help="Under 10 minutes, or under 2.")] = False,
    json: Annotated[Path | None, typer.Option(help="Where the results go, else into bench/results/.")] = None,
) -> None:
    """Measure Reelay beside what one would have instead, on servers of its own."""
    path = json or RESULTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.json"
    progress = Console(stderr=True)
    FOLDER.mkdir(exist_ok=True)
    folder = Path(mkdtemp(prefix="bench-", dir=FOLDER.absolute()))
    folder.chmod(0o755)  # under root, Postgres runs as somebody else
    try:
        report = asyncio.run(run_bench(folder, FULL if full else SHORT, progress.out))
    except StackError as error:
        progress.out(f"bench: {error}")
        raise typer.Exit(1) from None
    finally:
        shutil.rmtree(folder)
    report.write(path)
    plain = Console()
    report.show(plain if plain.is_terminal else Console(width=160))
    progress.out(f"results: {path}")


if __name__ == "__main__":
    typer.run(main)
