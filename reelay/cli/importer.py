"""`reelay import`: campaigns, clips, jobs and files of another application, with their ids.

A dry run does all of it and rolls it back, so that it shows exactly what an import would do.
"""

import json
import mimetypes
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid5

import asyncpg
from sqlalchemy import text

from reelay.cli.access import find_database
from reelay.cli.data_dir import DataDir
from reelay.cli.import_sources import Row, read_rows
from reelay.db.audit_log import Actor, AuditAction, record_act

NAMESPACE = UUID("5a1f2f5e-6d0b-5f6e-9c1c-3f1f6c9a7b10")
"""Ids that are no UUIDs become the same ones each time."""
TABLES = ("campaigns", "campaign_clips", "generation_jobs", "video_generations", "video_tasks", "video_files")
"""In the order in which they refer to each other."""
REPORT_EVERY = 1000
ERRORS_SHOWN = 100
JSON_COLUMNS = {"metadata", "input_params", "result_data", "video", "first_frame", "audio"}
OF_JOBS = {
    "id", "campaign_id", "clip_id", "external_id", "job_type", "provider", "model", "endpoint", "input_params",
    "fal_request_id", "fal_status_url", "fal_response_url", "status", "progress_percent", "progress_message",
    "result_url", "provider_url", "result_data", "error_code", "error_message", "estimated_cost_cents",
    "actual_cost_cents", "credits_deducted", "webhook_url", "metadata", "created_at", "submitted_at", "completed_at",
}  # fmt: skip
"""Columns of `generation_jobs` that another application may have. All others are Reelay's own."""
STATUSES = {"processing": "in_progress", "generating": "in_progress", "downloading": "in_progress"}
COLUMNS = """
    select table_name, array_agg(column_name::text) from information_schema.columns
    where table_schema = 'public' group by table_name
"""
INSERT = """
    insert into {table} ({columns}) select {columns} from jsonb_populate_record(null::{table}, $1::jsonb)
    on conflict do nothing returning true
"""


@dataclass
class Report:
    new: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    """The first of them, each with its table and row."""
    open_without_request: int = 0
    """Jobs that stay as they are until an operator starts them."""

    def refuse(self, table: str, row: Row, why: str) -> None:
        self.refused[table] += 1
        if len(self.errors) < ERRORS_SHOWN:
            self.errors.append(f"{table} {row.get('id', '?')}: {why}")

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [
            {"table": table, "new": self.new[table], "known": self.known[table], "refused": self.refused[table]}
            for table in TABLES
            if self.new[table] or self.known[table] or self.refused[table]
        ]


async def import_rows(
    data_dir: DataDir,
    source: str,
    *,
    apply: bool,
    create_users: bool = False,
    user: str | None = None,
    report_progress: Callable[[str], None] = lambda line: None,
) -> Report:
    """`user` gets the rows that name none. Raises: StackError."""
    with suppress(_DryRun):
        async with find_database(data_dir).transaction() as session:
            await session.execute(text("set local timezone to 'UTC'"))
            await session.execute(text("set constraints all immediate"))
            driver = (await (await session.connection()).get_raw_connection()).driver_connection
            assert isinstance(driver, asyncpg.Connection)
            work = _Import(driver, create_users=create_users, user=user)
            await work.run(source, report_progress)
            if not apply:
                raise _DryRun
            new = {"rows": dict(work.report.new), "users": await work.new_users()}
            await record_act(session, Actor.at_command_line(), AuditAction.ROWS_IMPORTED, "import", details=new)
    return work.report


class _DryRun(Exception):
    """Rolls everything back."""


class _Import:
    def __init__(self, connection: asyncpg.Connection, *, create_users: bool, user: str | None) -> None:
        self.report = Report()
        self._connection = connection
        self._create_users = create_users
        self._user = user
        self._users: dict[str, UUID] = {}
        self._made_users: list[str] = []
        self._columns: dict[str, set[str]] = {}

    async def run(self, source: str, report_progress: Callable[[str], None]) -> None:
        self._columns = {table: set(columns) for table, columns in await self._connection.fetch(COLUMNS)}
        seen = 0
        for table in TABLES:
            async for row in read_rows(source, table):
                await self._take(table, {snake(name): value for name, value in row.items()})
                seen += 1
                if seen % REPORT_EVERY == 0:
                    report_progress(f"{seen} rows, now {table}")

    async def new_users(self) -> list[str]:
        """Names of those that were made, unless they were refused with their row."""
        there = await self._connection.fetch("select name from users where name = any($1)", self._made_users)
        return [row["name"] for row in there]

    async def _take(self, table: str, row: Row) -> None:
        try:
            async with self._connection.transaction():
                is_new = await self._insert(table, row)
        except (ValueError, KeyError, asyncpg.PostgresError) as error:
            self.report.refuse(table, row, f"{type(error).__name__}: {error}")
            return
        (self.report.new if is_new else self.report.known)[table] += 1

    async def _insert(self, table: str, row: Row) -> bool:
        if table == "video_files":
            return await self._insert_file(row)
        owner = await self._owner(row)
        if table in ("campaigns", "campaign_clips"):
            return await self._write(table, row | references(row) | {"user_id": str(owner)})
        job = job_of(table, row) | {"user_id": str(owner), "origin": "external"}
        if not await self._write("generation_jobs", job):
            return False
        if job["status"] not in ("completed", "failed", "canceled") and not job.get("fal_request_id"):
            self.report.open_without_request += 1
        if job["status"] == "completed" and table != "video_generations" and job.get("result_url"):
            await self._write("video_files", file_at(job["result_url"], job))
        return True

    async def _insert_file(self, row: Row) -> bool:
        job_id = uuid_of(row.get("generation_id") or row["job_id"])
        owner = await self._connection.fetchval("select user_id from generation_jobs where id = $1", job_id)
        if owner is None:
            raise ValueError(f"its job {job_id} is not there")
        address = row.get("file_url") or row.get("remote_uri")
        if not address:
            raise ValueError("it has no address")
        given = {name: row[name] for name in self._columns["video_files"] & row.keys() if row[name] is not None}
        job = {"id": str(job_id), "user_id": str(owner), "created_at": row.get("created_at")}
        values = file_at(str(address), job) | given | {"id": str(uuid_of(row["id"])), "job_id": str(job_id)}
        values |= {"name": row.get("name") or row.get("filename") or values["name"], "user_id": str(owner)}
        values["file_path"] = row.get("s3_key") or row.get("file_path") or values["file_path"]
        values["format"] = mimetypes.guess_type(f"file.{values['format']}")[0] or values["format"]
        if not await self._write("video_files", values):
            return False
        await self._connection.execute(
            "update generation_jobs set result_url = $2 where id = $1 and result_url is null", job_id, str(address)
        )
        return True

    async def _owner(self, row: Row) -> UUID:
        """Raises: ValueError."""
        name = row.get("user_id") or row.get("author_id") or self._user
        if not name:
            raise ValueError("it names no user: say whose with --user")
        name = str(name)
        if name not in self._users:
            found = await self._connection.fetchval("select id from users where id::text = $1 or name = $1", name)
            if found is None and not self._create_users:
                raise ValueError(f"there is no user {name}: import with --create-users, or make that user first")
            if found is None:
                found = await self._connection.fetchval(
                    "insert into users (id, name) values ($1, $2) returning id", uuid_of(name), name
                )
                self._made_users.append(name)
            self._users[name] = found
        return self._users[name]

    async def _write(self, table: str, row: Row) -> bool:
        values = {name: parsed(name, value) for name, value in row.items() if value is not None}
        names = sorted(self._columns[table] & values.keys())
        columns = ", ".join(names)
        statement = INSERT.format(table=table, columns=columns)
        written = await self._connection.fetchval(statement, json.dumps({name: values[name] for name in names}))
        return written is not None


def snake(name: str) -> str:
    """`s3Key` becomes `s3_key`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def uuid_of(value: Any) -> UUID:
    """Itself, or always the same one for a cuid or another name."""
    try:
        return UUID(str(value))
    except ValueError:
        return uuid5(NAMESPACE, str(value))


def references(row: Row) -> Row:
    return {name: str(uuid_of(row[name])) for name in ("id", "campaign_id", "clip_id") if row.get(name)}


def parsed(name: str, value: Any) -> Any:
    """Raises: ValueError for text that should be JSON."""
    return json.loads(value) if name in JSON_COLUMNS and isinstance(value, str) else value


def job_of(table: str, row: Row) -> Row:
    """The row of `generation_jobs`. Raises: ValueError, KeyError."""
    job = {name: value for name, value in row.items() if name in OF_JOBS} | references(row)
    match table:
        case "video_tasks":
            job |= {"job_type": "video", "provider": "replicate", "external_id": row["task_id"]}
            job |= {"input_params": {"prompt": row["prompt"]}, "result_url": row.get("video_url")}
        case "video_generations":
            job |= dict(prisma_job(row))
    if str(row["id"]) != job["id"] and not job.get("external_id"):
        job["external_id"] = str(row["id"])
    status = str(row.get("status") or "pending").lower()
    job["status"] = STATUSES.get(status, status)
    if job["status"] in ("completed", "failed", "canceled"):
        job["completed_at"] = row.get("completed_at") or row.get("updated_at") or row.get("created_at")
        job["progress_percent"] = 100 if job["status"] == "completed" else 0
    return job


def prisma_job(row: Row) -> Iterator[tuple[str, Any]]:
    """Of document 001's `VideoGeneration`."""
    yield "job_type", "video"
    yield "provider", "studio"
    inputs = {
        "prompt": row["prompt"], "aspectRatio": row.get("aspect_ratio"), "numberOfVideos": row.get("number_of_videos"),
        "durationSeconds": row.get("duration_seconds"), "personGeneration": row.get("person_generation"),
    }  # fmt: skip
    yield "input_params", {name: value for name, value in inputs.items() if value is not None}
    given = {
        "model_name": row.get("model"), "model_version": row.get("model_version"),
        "processing_time": row.get("processing_time"), "generation_time": row.get("generation_time"),
        "download_time": row.get("download_time"),
    }  # fmt: skip
    yield "result_data", {"metadata": {name: value for name, value in given.items() if value is not None}}
    yield "error_message", row.get("error")
    yield "progress_message", row.get("message")
    yield "progress_percent", row.get("progress")
    if row.get("organization_id"):
        yield "metadata", {"organizationId": row["organization_id"]}


def file_at(address: str, job: Row) -> Row:
    """A file that is where it was, and not in our archive."""
    name = PurePosixPath(urlsplit(address).path).name or "result"
    return {
        "id": str(uuid5(NAMESPACE, f"{job['id']} {name}")),
        "user_id": job["user_id"],
        "job_id": job["id"],
        "name": name,
        "file_path": "",
        "file_url": address,
        "format": mimetypes.guess_type(name)[0] or "application/octet-stream",
        "created_at": job.get("created_at"),
    }
