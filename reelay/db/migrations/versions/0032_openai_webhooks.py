"""Webhooks in OpenAI's envelope, to the address that a request for a video names."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0032"
down_revision = "0031"

FORMAT = """
alter table generation_jobs add constraint known_webhook_format check (webhook_format in ('fal', 'openai')) not valid;
alter table generation_jobs validate constraint known_webhook_format;
alter table generation_jobs drop constraint valid_webhook_format;
"""

# Neither fal nor OpenAI tells of the beginning.
FUNCTION = """
create or replace function skip_submitted_in_fals_words() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    if exists (
        select from outgoing_events as event join generation_jobs as job on job.id = event.job_id
        where event.id = new.event_id and event.type = 'job.submitted' and job.webhook_format is not null
    ) then
        return null;
    end if;
    return new;
end
$$;
"""


def upgrade() -> None:
    run_script(op.get_bind(), FORMAT)
    run_script(op.get_bind(), FUNCTION)
