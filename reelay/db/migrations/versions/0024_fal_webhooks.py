"""Webhooks in fal's shape, to the address that a submission by fal's protocol names."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0024"
down_revision = "0023"

FORMAT = """
alter table generation_jobs add webhook_format text;
alter table generation_jobs add constraint valid_webhook_format check (webhook_format = 'fal') not valid;
alter table generation_jobs validate constraint valid_webhook_format;
"""

# fal tells of the end alone.
FUNCTION = """
create function skip_submitted_in_fals_words() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    if exists (
        select from outgoing_events as event join generation_jobs as job on job.id = event.job_id
        where event.id = new.event_id and event.type = 'job.submitted' and job.webhook_format = 'fal'
    ) then
        return null;
    end if;
    return new;
end
$$;
create trigger skip_submitted_in_fals_words before insert on outgoing_deliveries
    for each row when (new.endpoint_id is null) execute function skip_submitted_in_fals_words();
"""


def upgrade() -> None:
    run_script(op.get_bind(), FORMAT)
    run_script(op.get_bind(), FUNCTION)
