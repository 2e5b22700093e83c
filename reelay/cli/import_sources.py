"""Where rows are imported from: another Postgres, a dump of one, or a folder of CSV files and JSON lines."""

import csv
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg

from reelay.cli.errors import StackError
from reelay.db.address import PostgresAddress, UnusableAddress
from reelay.db.engine import PostgresUnavailable, connect_to_postgres

Row = dict[str, Any]
COPY = re.compile(r'COPY (?:"?\w+"?\.)?"?(\w+)"? \((.+)\) FROM stdin;')
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
ESCAPED = re.compile(r"\\(.)")


async def read_rows(source: str, table: str) -> AsyncIterator[Row]:
    """The table's rows, one after the other; none where there is no such table. Raises: StackError."""
    if source.startswith(("postgres://", "postgresql://")):
        async for row in _of_database(source, table):
            yield row
        return
    try:
        for row in _of_files(Path(source), table):
            yield row
    except (OSError, ValueError, csv.Error) as error:
        raise StackError(f"{source}: {table} cannot be read: {error}") from error


async def _of_database(url: str, table: str) -> AsyncIterator[Row]:
    try:
        connection = await connect_to_postgres(PostgresAddress.parse(url))
    except UnusableAddress as error:
        raise StackError(f"the source's address: {error}") from error
    except (PostgresUnavailable, asyncpg.PostgresError) as error:
        raise StackError(f"the source does not answer: {error}") from error
    try:
        if await connection.fetchval("select to_regclass($1)", table) is None:
            return
        async with connection.transaction(readonly=True):
            async for record in connection.cursor(f"select to_jsonb(source) from {table} as source", prefetch=500):
                yield json.loads(record[0])
    except asyncpg.PostgresError as error:
        raise StackError(f"{table} cannot be read: {error}") from error
    finally:
        await connection.close()


def _of_files(path: Path, table: str) -> Iterator[Row]:
    if not path.exists():
        raise StackError(f"{path} is neither a database address nor a file or folder")
    return _of_folder(path, table) if path.is_dir() else _of_dump(path, table)


def _of_folder(folder: Path, table: str) -> Iterator[Row]:
    """`TABLE.csv` with a line of names, or `TABLE.jsonl` with an object a line."""
    if (lines := folder / f"{table}.jsonl").exists():
        with lines.open(encoding="utf-8") as file:
            for line in file:
                if line.strip():
                    yield json.loads(line)
    if (sheet := folder / f"{table}.csv").exists():
        csv.field_size_limit(sys.maxsize)
        with sheet.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                yield {name: None if value in ("", r"\N", "NULL") else value for name, value in row.items() if name}


def _of_dump(path: Path, table: str) -> Iterator[Row]:
    """What `pg_dump --data-only` writes: `COPY ... FROM stdin`, tabs between the values, and `\\.` at the end."""
    columns: list[str] | None = None
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            line = line.removesuffix("\n")
            if columns is None:
                found = COPY.fullmatch(line)
                if found and found[1] == table:
                    columns = [name.strip().strip('"') for name in found[2].split(",")]
            elif line == r"\.":
                columns = None
            else:
                yield dict(zip(columns, map(_unescaped, line.split("\t")), strict=True))


def _unescaped(value: str) -> str | None:
    if value == r"\N":
        return None
    return ESCAPED.sub(lambda found: ESCAPES.get(found[1], found[1]), value)
