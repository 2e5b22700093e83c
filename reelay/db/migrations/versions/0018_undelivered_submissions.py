"""Submissions of existing clients whose answer they may not have got: repeated, they are the same job."""

from alembic import context, op

from reelay.db.migrations.scripts import run_script

revision = "0018"
down_revision = "0017"

UNDELIVERED = """
create table undelivered_submissions (
    user_id uuid not null references users on delete cascade,
    job_id uuid not null,
    fingerprint bytea not null,
    until timestamptz not null,
    primary key (user_id, job_id)
);
create index undelivered_submissions_alike on undelivered_submissions (user_id, fingerprint);
alter table undelivered_submissions enable row level security, force row level security;
create policy service on undelivered_submissions to current_user using (true);
"""


def upgrade() -> None:
    run_script(op.get_bind(), UNDELIVERED)
    app_role = op.get_bind().dialect.identifier_preparer.quote(context.get_context().opts["app_role"])
    run_script(
        op.get_bind(),
        f"""
        create policy own_rows on undelivered_submissions to {app_role}
            using (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
        grant select, insert, update, delete on undelivered_submissions to {app_role};
        """,
    )
