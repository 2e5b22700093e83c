"""A past for a user: many jobs like those that there are, written by SQL."""

from sqlalchemy import text

from tests.running import Service

COPY_ID = "md5(job.id::text || number)::uuid"
JOBS = f"""
insert into generation_jobs
select (jsonb_populate_record(null::generation_jobs, to_jsonb(job) || jsonb_build_object(
    'id', {COPY_ID}, 'user_id', target.id, 'fal_request_id', null, 'external_id', null,
    'campaign_id', null, 'clip_id', null,
    'created_at', job.created_at - number * interval '7 minutes',
    'completed_at', job.completed_at - number * interval '7 minutes'))).*
from generation_jobs job, users source, users target, generate_series(1, :count) number
where source.name = :source and job.user_id = source.id and target.name = :target
"""
FILES = f"""
insert into video_files
select (jsonb_populate_record(null::video_files, to_jsonb(file) || jsonb_build_object(
    'id', gen_random_uuid(), 'user_id', target.id, 'job_id', {COPY_ID}))).*
from video_files file join generation_jobs job on job.id = file.job_id,
    users source, users target, generate_series(1, :count) number
where source.name = :source and job.user_id = source.id and target.name = :target
"""


async def copy_jobs(service: Service, source: str, target: str, *, count: int) -> None:
    """Gives `target` so many copies of each of `source`'s jobs, each older than the one before."""
    async with service.sessions.begin() as session:
        for statement in (JOBS, FILES):
            await session.execute(text(statement), {"source": source, "target": target, "count": count})
