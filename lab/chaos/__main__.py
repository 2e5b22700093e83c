"""`python -m lab.chaos`."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom
from tempfile import mkdtemp
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from lab.chaos.plan import Plan, Times, draw_plan
from lab.chaos.report import Report
from lab.chaos.run import run_chaos
from reelay.cli.errors import StackError

FOLDER = Path(".reelay/chaos")
LONGEST_WAIT = 3600.0
"""For a slot, in seconds."""
LINE_EVERY = 20
"""Where the output is no terminal, one line of progress in so many."""


def main(
    jobs: Annotated[int, typer.Option(min=1, max=5000, help="How many generations.")] = 1000,
    seed: Annotated[int | None, typer.Option(help="Draws the plan; without one, chance does.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="So many runs, of this seed and those after it.")] = 1,
    slots: Annotated[
        int | None, typer.Option(min=1, help="So many jobs may be at each provider at once; without it, no limit.")
    ] = None,
    plan: Annotated[Path | None, typer.Option(help="A kept plan to repeat instead.")] = None,
) -> None:
    """Break everything while generations run, then count. Exits with 0 only when every promise held."""
    console = Console()
    console = console if console.is_terminal else Console(width=120)
    if plan is not None:
        return carry_out(console, read_plan(plan), plan).show(console)
    first = SystemRandom().randrange(2**32) if seed is None else seed
    FOLDER.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + seeds):
        times = Times() if slots is None else Times(slots=slots, wait=LONGEST_WAIT)
        drawn, kept = draw_plan(number, jobs, times), FOLDER / f"plan-{number}.json"
        drawn.write(kept)
        report = carry_out(console, drawn, kept)
        if seeds == 1:
            report.show(console)
        else:
            console.print(report.line, markup=False, highlight=False, soft_wrap=True)


def carry_out(console: Console, plan: Plan, kept: Path) -> Report:
    """The report of a run in which every promise held. Raises: typer.Exit, after telling what did not."""
    console.print(f"seed {plan.seed}, {len(plan.jobs)} jobs, {len(plan.kills)} kills; the plan is {kept}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="run-", dir=FOLDER.absolute()))
    folder.chmod(0o755)  # under root, Postgres runs as somebody else
    try:
        with progress(console) as show:
            report = Report(asyncio.run(run_chaos(folder, plan, show)))
    except StackError as error:
        leave(console, f"chaos: {error}", folder)
    if not report.holds:
        report.show(console)
        leave(console, f"repeat it with: make chaos PLAN={kept}", folder)
    shutil.rmtree(folder)
    return report


def read_plan(path: Path) -> Plan:
    try:
        return Plan.read(path)
    except (OSError, ValidationError) as error:
        raise typer.BadParameter(f"{path} is no plan: {error}") from error


@contextmanager
def progress(console: Console) -> Iterator[Callable[[str], None]]:
    """One line that changes on a terminal, a line now and then elsewhere."""
    lines = 0

    def show_now_and_then(line: str) -> None:
        nonlocal lines
        if lines % LINE_EVERY == 0:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        lines += 1

    if not console.is_terminal:
        yield show_now_and_then
        return
    with console.status("starting the stack") as status:
        yield status.update


def leave(console: Console, why: str, folder: Path) -> NoReturn:
    """The folder is the evidence, so it stays."""
    console.print(why, markup=False, highlight=False, soft_wrap=True)
    console.print(f"logs, database and archive of this run: {folder}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
