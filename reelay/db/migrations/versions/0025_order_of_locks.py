"""Who locks several jobs of a user locks them in the order of their ids."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0025"
down_revision = "0024"

DETACH = """
create or replace function detach_from_jobs(deleted uuid) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    with job as materialized (
        select id from generation_jobs
        where user_id = nullif(current_setting('app.user_id', true), '')::uuid and (
            campaign_id = deleted or clip_id = deleted
            or clip_id in (select id from campaign_clips where campaign_id = deleted)
        )
        order by id for no key update
    )
    update generation_jobs set campaign_id = nullif(campaign_id, deleted), clip_id = null
    where id in (select id from job)
$$;
"""


def upgrade() -> None:
    run_script(op.get_bind(), DETACH)
