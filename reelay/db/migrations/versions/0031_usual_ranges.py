"""What jobs of a model usually take, with the range in which four of five fall."""

from alembic import context, op

from reelay.db.migrations.scripts import run_script

revision = "0031"
down_revision = "0030"

FUNCTION = """
drop function usual_durations();
create function usual_durations() returns table (model text, usual interval, fast interval, slow interval)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select model, of_all[2], of_all[1], of_all[3] from (
        select model,
            percentile_cont(array[0.1, 0.5, 0.9]) within group (order by completed_at - submitted_at) as of_all
        from (
            select model, completed_at, submitted_at from generation_jobs
            where completed_at > now() - interval '7 days' and status = 'completed' and submitted_at is not null
            order by completed_at desc limit 2000
        ) as newest
        group by model having count(*) >= 3
    ) as models
$$;
revoke execute on function usual_durations from public;
"""


def upgrade() -> None:
    run_script(op.get_bind(), FUNCTION)
    options = context.get_context().opts
    quote = op.get_bind().dialect.identifier_preparer.quote
    run_script(op.get_bind(), f"grant execute on function usual_durations to {quote(options['app_role'])}")
