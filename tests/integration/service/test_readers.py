"""Who reads tables instead of calling: the views of the users' documents, with addresses that are whole."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from tests.eventually import PATIENCE
from tests.running import Service, running_service
from tests.servers import Database, Servers

AS_READER = "select set_config('app.user_id', $1, true)"

# The models of document 001, and what Prisma's client reads each type from.
PRISMA_GENERATION = {
    **dict.fromkeys(("id", "prompt", "inputImageBase64", "aspectRatio"), "text"),
    **dict.fromkeys(("numberOfVideos", "durationSeconds"), "int4"),
    "personGeneration": "text",
    "status": "VideoJobStatus",
    "error": "text",
    "progress": "int4",
    **dict.fromkeys(("message", "model", "modelVersion"), "text"),
    **dict.fromkeys(("processingTime", "generationTime", "downloadTime"), "float8"),
    **dict.fromkeys(("authorId", "organizationId"), "text"),
    "storageProvider": "StorageProvider",
    "s3Bucket": "text",
    **dict.fromkeys(("createdAt", "updatedAt", "completedAt"), "timestamptz"),
}
PRISMA_FILE = {
    **dict.fromkeys(("id", "filename", "s3Key", "fileUrl", "filePath"), "text"),
    "fileSize": "int4",
    "format": "text",
    "durationSeconds": "int4",
    "aspectRatio": "text",
    **dict.fromkeys(("width", "height"), "int4"),
    "remoteUri": "text",
    "metadata": "jsonb",
    "createdAt": "timestamptz",
    "generationId": "text",
}


@pytest.fixture(scope="module")
async def database(servers: Servers) -> Database:
    return await servers.postgres.copy()


@pytest.fixture(scope="module")
async def service(servers: Servers, database: Database) -> AsyncIterator[Service]:
    async with running_service(servers, database=database, webhook_patience=60) as running:
        yield running


@pytest.fixture
async def reader(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """In a transaction of a role that sees one user's rows."""
    connection = await asyncpg.connect(database.app_url)
    async with connection.transaction():
        yield connection
    await connection.close()


async def user_id(service: Service, job_id: str) -> UUID:
    async with service.sessions() as session:
        connection = await session.connection()
        found = await connection.exec_driver_sql(f"select user_id from generation_jobs where id = '{job_id}'")
        return UUID(str(found.scalar_one()))


async def test_video_tasks_shows_the_users_own_videos(service: Service, reader: asyncpg.Connection) -> None:
    done, failed = await service.create("un chat"), await service.create("bad [sim: fail=422]")
    await service.until(done, "completed")
    await service.until(failed, "failed")
    owner = await user_id(service, done)

    assert await reader.fetch("select * from video_tasks") == []
    await reader.execute(AS_READER, str(owner))
    row = await reader.fetchrow("select * from video_tasks where task_id = $1", done)
    assert row is not None
    assert (row["prompt"], row["status"]) == ("un chat", "completed")
    assert row["completed_at"] > row["created_at"]
    assert await reader.fetchval("select status from video_tasks where task_id = $1", failed) == "failed"
    await reader.execute(AS_READER, str(uuid4()))
    assert await reader.fetch("select * from video_tasks") == []


async def test_video_url_plays_without_a_header(service: Service, reader: asyncpg.Connection) -> None:
    job_id = await service.create()
    await service.until(job_id, "completed")
    owner = await user_id(service, job_id)
    await reader.execute(AS_READER, str(owner))
    url = await reader.fetchval("select video_url from video_tasks where task_id = $1", job_id)

    assert url == await reader.fetchval("select job.result_link from generation_jobs job where id = $1", UUID(job_id))
    async with httpx.AsyncClient(timeout=PATIENCE) as browser:
        answer = await browser.get(url)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
        assert (await browser.get(url.replace("expires=", "expires=1"))).status_code == 401


async def test_nobody_signs_for_another_user(service: Service, reader: asyncpg.Connection) -> None:
    job_id = await service.create()
    owner = await user_id(service, job_id)
    sign = "select media_link($1, $2)"
    await reader.execute(AS_READER, str(uuid4()))

    assert await reader.fetchval(sign, owner, f"/api/media/{job_id}/video.mp4") is None
    await reader.execute(AS_READER, str(owner))
    link = urlsplit(await reader.fetchval(sign, owner, f"/api/media/{job_id}/video.mp4"))
    assert f"{link.scheme}://{link.netloc}" == service.origin
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.fetch("select * from media_link_key")


async def test_video_generations_is_the_prisma_model(service: Service, reader: asyncpg.Connection) -> None:
    job_id = await service.create("un coucher de soleil", metadata={"organizationId": "org_1"})
    await service.until(job_id, "completed")
    owner = await user_id(service, job_id)
    await reader.execute(AS_READER, str(owner))

    row = await reader.fetchrow('select * from video_generations where id = $1 and "authorId" = $2', job_id, str(owner))
    assert row is not None
    assert (row["status"], row["progress"], row["organizationId"]) == ("COMPLETED", 100, "org_1")
    assert (row["prompt"], row["numberOfVideos"], row["durationSeconds"]) == ("un coucher de soleil", 1, 6)
    (file,) = await reader.fetch('select * from video_generation_files where "generationId" = $1', job_id)
    assert (file["format"], file["width"] > 0) == ("video/mp4", True)
    assert file["fileUrl"].startswith(f"{service.origin}/api/media/{job_id}/")


async def test_prismas_client_finds_every_column_of_its_models_and_its_enums(reader: asyncpg.Connection) -> None:
    """It names them all in each query; an `Int` that comes as a float, or a missing column, is an error to it."""
    columns = (
        "select column_name, udt_name from information_schema.columns where table_name = $1 order by ordinal_position"
    )
    assert dict(await reader.fetch(columns, "video_generations")) == PRISMA_GENERATION
    assert dict(await reader.fetch(columns, "video_generation_files")) == PRISMA_FILE
    by_status = """select count(*) from video_generations where status = cast($1::text as "public"."VideoJobStatus")"""
    assert await reader.fetchval(by_status, "COMPLETED") == 0


async def test_what_is_unknown_is_null_only_where_prismas_models_allow_it(
    service: Service, reader: asyncpg.Connection
) -> None:
    job_id = await service.create("un nuage")
    await service.until(job_id, "completed")
    owner = await user_id(service, job_id)
    async with service.sessions.begin() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "insert into generation_jobs (user_id, external_id, job_type, provider, status, input_params) values "
            f"""('{owner}', 'cm1', 'video', 'studio', 'submitted', '{{"prompt": "x"}}')"""
        )
        await connection.exec_driver_sql(
            "update video_files set duration_seconds = null, width = null, height = null, aspect_ratio = null, "
            f"file_size = 3000000000 where job_id = '{job_id}'"
        )
    await reader.execute(AS_READER, str(owner))
    row = await reader.fetchrow("select * from video_generations where id = 'cm1'")
    assert row is not None
    assert {name for name, value in row.items() if value is None} <= {
        *("inputImageBase64", "error", "message", "processingTime", "generationTime", "downloadTime"),
        *("organizationId", "s3Bucket", "completedAt"),
    }
    assert (row["status"], row["model"], row["modelVersion"]) == ("PENDING", "veo-2.0-generate-001", "2.0")
    file = await reader.fetchrow('select * from video_generation_files where "generationId" = $1', job_id)
    assert file is not None
    assert [file[name] for name in ("durationSeconds", "width", "height", "aspectRatio")] == [0, 0, 0, ""]
    assert file["fileSize"] == 2**31 - 1


async def test_input_that_is_no_number_spoils_no_view(service: Service, reader: asyncpg.Connection) -> None:
    job_id = await service.create()
    owner = await user_id(service, job_id)
    async with service.sessions.begin() as session:
        await (await session.connection()).exec_driver_sql(
            "insert into generation_jobs (user_id, job_type, input_params, result_data) values "
            f"""('{owner}', 'video', '{{"duration": "long", "numberOfVideos": "x"}}', '{{"metadata": []}}')"""
        )
    await reader.execute(AS_READER, str(owner))
    rows = await reader.fetch("select * from video_generations where prompt = ''")
    assert [(row["durationSeconds"], row["numberOfVideos"], row["processingTime"]) for row in rows] == [(8, 1, None)]
