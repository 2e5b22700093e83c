"""Document 000's policies, by docs/supabase.sql, on a database that has what Supabase's has."""

import re
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.paths import ROOT
from tests.servers import Postgres

SCRIPT = (ROOT / "docs" / "supabase.sql").read_text()

# As Supabase makes them: https://github.com/supabase/postgres, migrations/db/init-scripts.
PROJECT = """
do $$ begin
    create role anon nologin; create role authenticated nologin; create role service_role nologin bypassrls;
exception when duplicate_object then null; end $$;
create schema auth;
create table auth.users (id uuid primary key, email text);
create function auth.uid() returns uuid language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
    )::uuid
$$;
create function auth.role() returns text language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.role', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
    )
$$;
grant usage on schema auth to anon, authenticated, service_role, reelay_owner;
grant select, trigger, references on auth.users to reelay_owner;
grant all on all tables in schema public to anon, authenticated, service_role;
"""
# Document 000's table, indexes and policies, to the letter.
DOCUMENT = """
CREATE TABLE IF NOT EXISTS generation_jobs (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id UUID NOT NULL REFERENCES auth.users(id) ON DELETE CASCADE
);
ALTER TABLE generation_jobs ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Users can view own jobs" ON generation_jobs
  FOR SELECT USING (auth.uid() = user_id);
CREATE POLICY "Users can create own jobs" ON generation_jobs
  FOR INSERT WITH CHECK (auth.uid() = user_id);
CREATE POLICY "Service role full access" ON generation_jobs
  FOR ALL USING (auth.role() = 'service_role');
"""
INSERT = """
    insert into generation_jobs (user_id, job_type, status, input_params, estimated_cost_cents)
    values ($1, 'video_veo31', $2, '{"prompt": "a harbour"}', 240) returning id
"""


@pytest.fixture
async def project(postgres: Postgres) -> AsyncIterator[asyncpg.Connection]:
    """As the superuser; the script is run by the owner of our tables."""
    copy = await postgres.copy()
    name = copy.admin_url.rsplit("/", 1)[1]
    superuser = await asyncpg.connect(postgres.server.superuser_url.rsplit("/", 1)[0] + f"/{name}")
    await superuser.execute(PROJECT)
    owner = await asyncpg.connect(copy.admin_url)
    await owner.execute(SCRIPT)
    await owner.execute(SCRIPT)
    await owner.close()
    yield superuser
    await superuser.close()


async def sign_up(project: asyncpg.Connection) -> UUID:
    user = uuid4()
    await project.execute("insert into auth.users (id) values ($1)", user)
    return user


async def become(project: asyncpg.Connection, role: str, user: UUID | None = None) -> None:
    await project.execute("reset role")
    claims = f'{{"role": "{role}"' + (f', "sub": "{user}"' if user else "") + "}"
    await project.execute("select set_config('request.jwt.claims', $1, false)", claims)
    await project.execute(f"set role {role}")


async def test_who_is_signed_in_sees_and_adds_own_jobs_alone(project: asyncpg.Connection) -> None:
    ann, bob = await sign_up(project), await sign_up(project)
    await become(project, "authenticated", ann)
    anns = await project.fetchval(INSERT, ann, "pending")
    await become(project, "authenticated", bob)
    bobs = await project.fetchval(INSERT, bob, "pending")

    assert await project.fetch("select id from generation_jobs") == [(bobs,)]
    assert [row["id"] for row in await project.fetch("select * from video_tasks")] == [bobs]
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await project.execute(INSERT, ann, "pending")
    await become(project, "authenticated", ann)
    assert await project.fetch("select id from generation_jobs") == [(anns,)]


async def test_who_is_signed_in_is_given_links_to_own_videos(project: asyncpg.Connection) -> None:
    await project.execute("insert into media_link_key values (true, 'https://reelay.example', 'i', 'o')")
    ann = await sign_up(project)
    job = await project.fetchval(INSERT, ann, "pending")
    await project.execute(
        "update generation_jobs set external_id = 'video_1', status = 'completed', result_url = $2 where id = $1",
        job,
        f"/api/media/{job}/video.mp4",
    )
    await become(project, "authenticated", ann)

    row = await project.fetchrow("select * from video_tasks where task_id = 'video_1'")
    assert row is not None
    assert row["status"] == "completed"
    assert row["video_url"].startswith(f"https://reelay.example/api/media/{job}/video.mp4?expires=")
    await become(project, "authenticated", uuid4())
    assert await project.fetchval("select media_link($1, '/api/media/x')", ann) is None


@pytest.mark.parametrize("column", ["origin", "fal_request_id", "charged_cents", "arguments"])
async def test_what_is_ours_to_write_is_refused_to_users(project: asyncpg.Connection, column: str) -> None:
    ann = await sign_up(project)
    await become(project, "authenticated", ann)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await project.execute(
            f"insert into generation_jobs (user_id, job_type, {column}) values ('{ann}', 'video', null)"
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await project.execute(INSERT, ann, "submitted")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await project.execute("update generation_jobs set status = 'completed'")


async def test_the_service_role_writes_every_row_as_the_old_backend_does(project: asyncpg.Connection) -> None:
    ann = await sign_up(project)
    await become(project, "service_role")
    job = await project.fetchval(INSERT, ann, "pending")
    await project.execute(
        "update generation_jobs set fal_request_id = 'r', status = 'submitted', submitted_at = now() where id = $1", job
    )
    assert await project.fetchval("select stage from generation_jobs where id = $1", job) == "generating"


async def test_nobody_who_is_not_signed_in_sees_anything(project: asyncpg.Connection) -> None:
    await become(project, "anon")
    for table in ("generation_jobs", "video_tasks", "users", "api_keys", "media_link_key"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await project.fetch(f"select * from {table}")


async def test_a_user_who_leaves_takes_the_jobs_along(project: asyncpg.Connection) -> None:
    ann = await sign_up(project)
    await project.execute(INSERT, ann, "pending")
    await project.execute("delete from auth.users where id = $1", ann)
    assert await project.fetchval("select count(*) from generation_jobs where user_id = $1", ann) == 0


async def test_the_documents_own_policies_beside_the_script_change_nothing(project: asyncpg.Connection) -> None:
    """The table is skipped; two of the policies have the script's names, and the third says what one of them does."""
    statements = [statement.strip() for statement in DOCUMENT.split(";") if statement.strip()]
    refused = []
    for statement in statements:
        try:
            await project.execute(statement)
        except asyncpg.DuplicateObjectError:
            refused.append(re.findall('"(.+)"', statement)[0])
    assert refused == ["Users can create own jobs", "Service role full access"]

    ann, bob = await sign_up(project), await sign_up(project)
    await become(project, "authenticated", ann)
    await project.execute(INSERT, ann, "pending")
    await become(project, "authenticated", bob)
    assert await project.fetch("select * from generation_jobs") == []
