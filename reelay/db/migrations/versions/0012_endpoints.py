"""Jobs of endpoints that the catalogue does not know: their type, where their answers hold files, and the documents."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0012"
down_revision = "0011"

TYPES = """
alter table generation_jobs add outputs jsonb;
alter table generation_jobs drop constraint valid_job_type, add constraint valid_job_type check (job_type in (
    'video_veo31', 'video', 'first_frame', 'voice_chatterbox', 'ambient_elevenlabs', 'transcribe_whisper', 'other'
)) not valid;
"""
VALID = "alter table generation_jobs validate constraint valid_job_type"

ENDPOINTS = """
create table provider_endpoints (
    id text primary key,
    entry jsonb not null default '{}',
    etag text,
    price jsonb,
    checked_at timestamptz not null default now()
);
"""


def upgrade() -> None:
    run_script(op.get_bind(), ENDPOINTS)
    run_script(op.get_bind(), TYPES)
    run_script(op.get_bind(), VALID)
