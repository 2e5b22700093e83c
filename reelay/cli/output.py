"""What commands print: tables and lines for people, JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

MIN_LAST_COLUMN = 24
"""Characters for the last column, which has the long texts. With less, each row is printed as a block."""

UNNAMED = "an unnamed signer"

# So that a negative amount is read as an amount, not as an unknown option.
NEGATIVE_NUMBERS = {"ignore_unknown_options": True}

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print JSON, one line per change.")]


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    shown = console()
    cells = [[format_cell(column, row[column]) for column in columns] for row in rows]
    widths = [max(map(len, column)) + 2 for column in zip(columns, *cells, strict=True)]
    if shown.width - sum(widths[:-1]) < MIN_LAST_COLUMN:
        longest = max(map(len, columns))
        for values in cells:
            lines = (f"{name:<{longest}}  {value}" for name, value in zip(columns, values, strict=True))
            typer.echo("\n".join((*lines, "")))
        return
    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column != columns[-1])
    for values in cells:
        table.add_row(*values)
    shown.print(table, markup=False)


def format_cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{value[:19]}Z".replace("T", " ") if column.endswith("At") else str(value)


def show_job(job: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(job, indent=2))
        return
    message = f"{job['errorCode']}: {job['errorMessage']}" if job["errorCode"] else job["progressMessage"]
    typer.echo(f"{job['id']}  {job['status']}  {job['progress']}%  {message}")
    show_files(job["files"])


def show_files(files: Iterable[Mapping[str, Any]]) -> None:
    """Each with its link, and what is to be known of it."""
    for file in files:
        flagged = "flagged by the safety check" if file["flagged"] else None
        notes = (flagged, credentials_note(file["provenance"]))
        typer.echo("  ".join(["", file["fileUrl"], *filter(None, notes)]))


def credentials_note(provenance: Mapping[str, Any] | None) -> str | None:
    """What a file's Content Credentials are worth; None of a file without any."""
    match provenance:
        case {"state": "trusted", "issuer": issuer}:
            return f"Content Credentials: trusted, signed by {issuer or UNNAMED}"
        case {"state": "valid", "issuer": issuer}:
            return f"Content Credentials: valid, signed as {issuer or UNNAMED}, for whom no trusted authority vouches"
        case {"state": "invalid"}:
            return "Content Credentials: invalid"
    return None


def console(*, stderr: bool = False) -> Console:
    """For a terminal of its width; for a file or a pipe wide enough to break no line."""
    plain = Console(stderr=stderr)
    return plain if plain.is_terminal else Console(stderr=stderr, width=200)
