"""Deletion of jobs and users: what stays of a job in the books, and what is still to be deleted elsewhere."""

from alembic import context, op

from reelay.db.migrations.scripts import create_index_concurrently, run_script

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# What a job leaves behind, without content: the books stay whole, and its id is not used again.
TABLES = """
alter table users add column deleted_at timestamptz;

-- An entry outlives its job.
alter table credit_entries drop constraint credit_entries_user_id_job_id_fkey;

create table deleted_jobs (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    job_type text not null,
    provider text not null,
    model text not null,
    status text not null,
    created_at timestamptz not null,
    completed_at timestamptz,
    actual_cost_cents bigint,
    charged_cents bigint not null,
    deleted_at timestamptz not null default now()
);
create index deleted_jobs_of_user on deleted_jobs (user_id, created_at);

-- Written in the transaction that deletes the rows, and there until nothing is left in the archive and at the provider.
create table erasures (
    id bigint generated always as identity primary key,
    prefix text,
    provider text,
    request_ids text[] not null default '{}',
    requested_at timestamptz not null default now(),
    next_try_at timestamptz not null default now(),
    tries integer not null default 0,
    trouble text
);
create index erasures_due on erasures (next_try_at);

-- A creation that is repeated with its Idempotency-Key after the job was deleted buys nothing.
create function refuse_deleted_id() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    return case when exists (select from deleted_jobs where id = new.id) then null else new end;
end
$$;
create trigger refuse_deleted_id before insert on generation_jobs
    for each row execute function refuse_deleted_id();
"""

SECURITY = """
alter table deleted_jobs enable row level security, force row level security;
create policy service on deleted_jobs to current_user using (true);
create policy own_rows on deleted_jobs to {role}
    using (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
grant select on deleted_jobs to {role};

revoke execute on function refuse_deleted_id from public;

alter table erasures enable row level security, force row level security;
create policy service on erasures to current_user using (true);
"""


def upgrade() -> None:
    app_role = op.get_bind().dialect.identifier_preparer.quote(context.get_context().opts["app_role"])
    run_script(op.get_bind(), TABLES)
    run_script(op.get_bind(), SECURITY.format(role=app_role))
    # By these the oldest are found, batch after batch.
    create_index_concurrently("job_events_at", "on job_events (at)")
    create_index_concurrently("video_files_created", "on video_files (created_at)")
