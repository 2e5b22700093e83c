"""Batches: many jobs of one user that were created together."""

from alembic import context, op

from reelay.db.migrations.scripts import create_index_concurrently, run_script

revision = "0013"
down_revision = "0012"

BATCHES = """
create table batches (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    estimated_cost_cents bigint not null,
    metadata jsonb not null default '{{}}'::jsonb,
    request_fingerprint bytea,
    created_at timestamptz not null default now(),
    unique (user_id, id)
);
alter table batches enable row level security, force row level security;
create policy service on batches to current_user using (true);
create policy own_rows on batches to {app_role}
    using (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
grant select, insert on batches to {app_role};

alter table generation_jobs add batch_id uuid, add batch_position integer;
"""


def upgrade() -> None:
    app_role = op.get_bind().dialect.identifier_preparer.quote(context.get_context().opts["app_role"])
    run_script(op.get_bind(), BATCHES.format(app_role=app_role))
    create_index_concurrently(
        "generation_jobs_of_batch", "on generation_jobs (batch_id, batch_position) where batch_id is not null"
    )
