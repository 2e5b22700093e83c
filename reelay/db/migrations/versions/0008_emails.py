"""The e-mail address by which an operator knows a user, and an index of what operators have to look at."""

from alembic import context, op

from reelay.db.migrations.scripts import create_index_concurrently, run_script

revision = "0008"
down_revision = "0007"

# Calls with one argument, of the processes of the version before, reach the new function.
EMAILS = """
alter table users add column email text;
create index users_email on users (email) where email is not null;

drop function caller_by_token(uuid);
-- The user of a verified token, made at first sight, named by the id, without credits; no row for one who is disabled.
create function caller_by_token(wanted uuid, address text default null) returns table (signed_out_at timestamptz)
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    insert into users (id, name, email) values (wanted, wanted::text, address) on conflict do nothing;
    update users set email = address where id = wanted and email is distinct from address and address is not null;
    select signed_out_at from users where id = wanted and disabled_at is null;
$$;
revoke execute on function caller_by_token from public;
grant execute on function caller_by_token to {app_role};
"""
NEEDS = """
    on generation_jobs (completed_at) where error_code in (
        'unknown_outcome', 'provider_unauthorized', 'archive_failed', 'internal_error', 'run_stopped'
    )
"""


def upgrade() -> None:
    app_role = op.get_bind().dialect.identifier_preparer.quote(context.get_context().opts["app_role"])
    run_script(op.get_bind(), EMAILS.format(app_role=app_role))
    create_index_concurrently("generation_jobs_action_required", NEEDS)
