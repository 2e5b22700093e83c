"""A retry takes over what was bought for the job that failed."""

from alembic import context, op

from reelay.db.migrations.scripts import run_script

revision = "0035"
down_revision = "0034"

# Both jobs are the transaction's user's. The one that failed gives its request away: a request belongs to one job.
INHERIT = """
create function inherit_request(job uuid, earlier uuid) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    update submission_attempts as attempt
    set job_id = inherit_request.job, number = 1, state = 'inherited', webhook_expected = false, queue_position = null,
        sent_at = now(), answered_at = null, ended_by_poll_at = null
    from generation_jobs as failed, generation_jobs as heir
    where failed.id = earlier and failed.status in ('failed', 'canceled')
        and heir.id = inherit_request.job and heir.provider = failed.provider and heir.endpoint = failed.endpoint
        and failed.user_id = nullif(current_setting('app.user_id', true), '')::uuid and heir.user_id = failed.user_id
        and attempt.job_id = failed.id and attempt.provider = failed.provider and attempt.state = 'accepted'
        and attempt.request_id = failed.fal_request_id
$$;
"""


def upgrade() -> None:
    run_script(op.get_bind(), INHERIT)
    app_role = op.get_bind().dialect.identifier_preparer.quote(context.get_context().opts["app_role"])
    run_script(
        op.get_bind(),
        f"""
        revoke execute on function inherit_request from public;
        grant execute on function inherit_request to {app_role};
        """,
    )
