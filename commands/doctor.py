"""`reelay doctor`."""

import json
from importlib import import_module as load
from typing import Any

import typer
from rich.markup import escape

from commands.ending import Exit, run
from commands.service import DataDirOption, find_data_dir
from commands.showing import JsonOption, console

MARKS = {"ok": "[green]ok   [/]", "off": "[dim]off  [/]", "wrong": "[red]wrong[/]"}


def doctor(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Tell what is configured, what answers, and what to do about the rest. Exits with 1 when something is wrong."""
    findings: list[dict[str, Any]] = run(load("devstack.doctor").examine(find_data_dir(data_dir)))
    if as_json:
        typer.echo(json.dumps(findings, indent=2))
    else:
        for finding in findings:
            advice = f"\n{'':22}-> {finding['advice']}" if finding["state"] == "wrong" else ""
            line = f"{finding['part']:<14}  {escape(finding['found'])}{escape(advice)}"
            console().print(f"{MARKS[finding['state']]} {line}", soft_wrap=True, highlight=False)
    if any(finding["state"] == "wrong" for finding in findings):
        raise typer.Exit(Exit.FAILED)
