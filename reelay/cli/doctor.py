"""`reelay doctor`."""

import json
from typing import Any

import typer
from rich.markup import escape

from reelay.cli.exit_codes import Exit, run
from reelay.cli.output import JsonOption, console
from reelay.cli.service import DataDirOption, find_data_dir

MARKS = {"ok": "[green]ok   [/]", "off": "[dim]off  [/]", "wrong": "[red]wrong[/]"}


def doctor(as_json: JsonOption = False, data_dir: DataDirOption = None) -> None:
    """Check the configuration and the services, with advice. Exits with 1 when something is wrong."""
    from reelay.cli import checks

    findings: list[dict[str, Any]] = run(checks.examine(find_data_dir(data_dir)))
    if as_json:
        typer.echo(json.dumps(findings, indent=2))
    else:
        for finding in findings:
            advice = f"\n{'':22}-> {finding['advice']}" if finding["state"] == "wrong" else ""
            line = f"{finding['part']:<14}  {escape(finding['found'])}{escape(advice)}"
            console().print(f"{MARKS[finding['state']]} {line}", soft_wrap=True, highlight=False)
    if any(finding["state"] == "wrong" for finding in findings):
        raise typer.Exit(Exit.FAILED)
