"""`reelay audit`."""

from typing import Annotated, Any

import typer

from reelay.cli.operations import operate
from reelay.cli.output import JsonOption, show_rows
from reelay.cli.service import DataDirOption

AUDIT_COLUMNS = ("at", "actor", "credential", "action", "subject", "details")


def audit(
    actor: Annotated[str | None, typer.Option(help="A user by name or id, or `command line`.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="A user by name or id, a key's prefix, a job, a provider.")
    ] = None,
    action: Annotated[str | None, typer.Option(help="For example `credits.added`.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Show what operators did, newest first."""
    rows = operate(data_dir, lambda operations: operations.acts(limit, actor=actor, subject=subject, action=action))
    shown = rows if as_json else [row | {"details": in_words(row["details"])} for row in rows]
    show_rows(shown, AUDIT_COLUMNS, as_json=as_json)


def in_words(details: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in details.items() if value is not None)
