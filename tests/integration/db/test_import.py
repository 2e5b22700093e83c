"""`reelay import`: what an application of before has, with its ids, once, and nothing bought."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from reelay.cli.data_dir import DataDir
from reelay.cli.errors import StackError
from reelay.cli.importer import Report, import_rows, uuid_of
from tests.servers import Database, Postgres

ANN = UUID(int=1)
CAMPAIGN, CLIP, OPEN_JOB, DONE_JOB, LOST_JOB = (UUID(int=number) for number in range(11, 16))
# Documents 000, 001 and 004: what of their tables matters here.
OLD_TABLES = f"""
create table campaigns (id uuid primary key, user_id uuid, name text, brief jsonb);
create table campaign_clips (id uuid primary key, user_id uuid, campaign_id uuid, title text, video jsonb);
create table generation_jobs (
    id uuid primary key, user_id uuid, campaign_id uuid, clip_id uuid, job_type text, fal_request_id text,
    fal_status_url text, status text, input_params jsonb, result_url text, credits_deducted boolean default false,
    progress_percent integer default 0, progress_message text, created_at timestamptz default now(),
    submitted_at timestamptz, completed_at timestamptz
);
create table video_tasks (
    id uuid primary key default gen_random_uuid(), task_id text unique, prompt text, video_url text, status text,
    created_at timestamp default now(), completed_at timestamp
);
insert into campaigns values ('{CAMPAIGN}', '{ANN}', 'Autumn', '{{}}');
insert into campaign_clips values ('{CLIP}', '{ANN}', '{CAMPAIGN}', 'One', '{{"raw_url": "https://old/1.mp4"}}');
insert into generation_jobs (id, user_id, clip_id, job_type, fal_request_id, status, input_params, result_url) values
    ('{OPEN_JOB}', '{ANN}', '{CLIP}', 'video_veo31', 'request-1', 'submitted', '{{"prompt": "a"}}', null),
    ('{DONE_JOB}', '{ANN}', null, 'video_veo31', 'request-2', 'completed', '{{"prompt": "b"}}', 'https://v3.fal/b.mp4'),
    ('{LOST_JOB}', '{ANN}', null, 'voice_chatterbox', null, 'pending', '{{"text": "c\\nd\\te"}}', null),
    (gen_random_uuid(), '{ANN}', null, 'bogus', null, 'pending', '{{}}', null);
insert into video_tasks (task_id, prompt, video_url, status, completed_at) values
    ('video_1703265432_abc123', 'un chat', 'https://replicate.delivery/pbxt/c.mp4', 'completed', now());
"""
GENERATION = {
    "id": "cm123abc456",
    "prompt": "Un coucher de soleil",
    "aspectRatio": "16:9",
    "numberOfVideos": "1",
    "durationSeconds": "8",
    "status": "COMPLETED",
    "error": None,
    "progress": "100",
    "message": "Génération terminée avec succès",
    "model": "veo-2.0-generate-001",
    "modelVersion": "2.0",
    "processingTime": "120.5",
    "authorId": "user_1",
    "organizationId": "org_1",
    "createdAt": "2025-10-23 14:30:00.000",
    "completedAt": "2025-10-23 14:32:00.000",
}
FILE = {
    "id": "cm_file",
    "filename": "sunset-ocean.mp4",
    "s3Key": "/videos/cm123abc456/sunset-ocean.mp4",
    "fileUrl": "https://s3.amazonaws.com/sorami-videos/cm123abc456/sunset-ocean.mp4",
    "fileSize": "15728640",
    "format": "mp4",
    "durationSeconds": "8",
    "aspectRatio": "16:9",
    "width": "1920",
    "height": "1080",
    "generationId": "cm123abc456",
}


@pytest.fixture
async def target(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Database:
    database = await postgres.copy()
    monkeypatch.setenv("DATABASE_SERVICE_URL", database.service_url)
    return database


@pytest.fixture
async def rows(target: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(target.service_url)
    yield connection
    await connection.close()


@pytest.fixture
async def old(postgres: Postgres) -> str:
    """Another database's address."""
    name = f"old_{uuid4().hex}"
    server = postgres.server.superuser_url.rsplit("/", 1)[0]
    superuser = await asyncpg.connect(postgres.server.superuser_url)
    await superuser.execute(f"create database {name}")
    await superuser.close()
    connection = await asyncpg.connect(f"{server}/{name}")
    await connection.execute(OLD_TABLES)
    await connection.close()
    return f"{server}/{name}"


@pytest.fixture
def prisma(tmp_path: Path) -> str:
    """A folder of what a MySQL database has, as CSV and as JSON lines."""
    header, values = ",".join(GENERATION), ",".join(f'"{value or ""}"' for value in GENERATION.values())
    (tmp_path / "video_generations.csv").write_text(f"{header}\n{values}\n")
    (tmp_path / "video_files.jsonl").write_text(json.dumps(FILE) + "\n")
    return str(tmp_path)


async def importing(source: str, **options: Any) -> Report:
    return await import_rows(DataDir(Path("/nowhere")), source, **options)


async def test_dry_run_tells_all_and_changes_nothing(old: str, rows: asyncpg.Connection) -> None:
    report = await importing(old, apply=False, create_users=True, user="ann")

    assert [(row["table"], row["new"], row["refused"]) for row in report.rows] == [
        ("campaigns", 1, 0),
        ("campaign_clips", 1, 0),
        ("generation_jobs", 3, 1),
        ("video_tasks", 1, 0),
    ]
    assert "valid_job_type" in report.errors[0]
    assert report.open_without_request == 1
    assert await rows.fetch("select * from generation_jobs") == []
    assert await rows.fetch("select * from users") == []
    assert await rows.fetch("select * from audit_log") == []


async def test_import_keeps_ids_and_twice_changes_nothing(old: str, rows: asyncpg.Connection) -> None:
    await importing(old, apply=True, create_users=True, user="ann")
    before = await rows.fetch("select * from generation_jobs order by id")
    again = await importing(old, apply=True, create_users=True, user="ann")

    assert {row["new"] for row in again.rows} == {0}
    entries = await rows.fetch("select action, details from audit_log order by at")
    assert [entry["action"] for entry in entries] == ["rows.imported"] * 2
    new = {"campaigns": 1, "campaign_clips": 1, "generation_jobs": 3, "video_tasks": 1}
    assert json.loads(entries[0]["details"]) == {"rows": new, "users": [str(ANN), "ann"]}
    assert await rows.fetch("select * from generation_jobs order by id") == before
    jobs = {row["id"]: row for row in before}
    opened, done = jobs[OPEN_JOB], jobs[DONE_JOB]
    assert (opened["clip_id"], opened["status"], opened["origin"]) == (CLIP, "submitted", "external")
    assert (done["status"], done["stage"], done["result_url"]) == ("completed", "done", "https://v3.fal/b.mp4")
    assert json.loads(jobs[LOST_JOB]["input_params"]) == {"text": "c\nd\te"}
    assert await rows.fetchval("select video ->> 'raw_url' from campaign_clips") == "https://old/1.mp4"
    task = await rows.fetchrow("select * from video_tasks where task_id = 'video_1703265432_abc123'")
    assert task is not None
    assert (task["video_url"], task["status"]) == ("https://replicate.delivery/pbxt/c.mp4", "completed")


async def test_prisma_rows_come_with_their_files_and_names(prisma: str, rows: asyncpg.Connection) -> None:
    report = await importing(prisma, apply=True, create_users=True)
    assert report.errors == []
    again = await importing(prisma, apply=True)
    assert {row["new"] for row in again.rows} == {0}

    generation = await rows.fetchrow("select * from video_generations where id = 'cm123abc456'")
    assert generation is not None
    assert (generation["status"], generation["modelVersion"], generation["processingTime"]) == (
        "COMPLETED",
        "2.0",
        120.5,
    )
    assert generation["organizationId"] == "org_1"
    assert generation["authorId"] == str(uuid_of("user_1"))
    (file,) = await rows.fetch("select * from video_generation_files where \"generationId\" = 'cm123abc456'")
    assert (file["fileUrl"], file["s3Key"], file["fileSize"]) == (FILE["fileUrl"], FILE["s3Key"], 15728640)
    assert await rows.fetchval("select result_url from generation_jobs") == FILE["fileUrl"]


async def test_dump_is_read_whatever_its_order(old: str, tmp_path: Path, rows: asyncpg.Connection) -> None:
    connection = await asyncpg.connect(old)
    dump = tmp_path / "dump.sql"
    with dump.open("wb") as file:
        for table in ("campaign_clips", "campaigns", "generation_jobs"):
            names = [
                row[0]
                for row in await connection.fetch(
                    "select column_name::text from information_schema.columns where table_name = $1"
                    " order by ordinal_position",
                    table,
                )
            ]
            file.write(f"COPY public.{table} ({', '.join(names)}) FROM stdin;\n".encode())
            await connection.copy_from_table(table, output=file)
            file.write(b"\\.\n\n")
    await connection.close()

    report = await importing(str(dump), apply=True, create_users=True)
    assert [(row["table"], row["new"]) for row in report.rows] == [
        ("campaigns", 1), ("campaign_clips", 1), ("generation_jobs", 3),
    ]  # fmt: skip
    words = await rows.fetchval("select input_params from generation_jobs where id = $1", LOST_JOB)
    assert json.loads(words) == {"text": "c\nd\te"}


async def test_a_row_of_nobody_is_named_and_the_others_are_taken(old: str, rows: asyncpg.Connection) -> None:
    await rows.execute("insert into users (id, name) values ($1, 'ann')", ANN)
    report = await importing(old, apply=True)

    assert any("names no user" in error for error in report.errors)
    assert await rows.fetchval("select count(*) from generation_jobs") == 3


async def test_a_source_that_is_none_is_said(target: Database) -> None:
    with pytest.raises(StackError, match="neither a database address"):
        await importing("/nowhere/at/all", apply=False)
