"""Slots at providers: limits, who holds one, and whose turn is next."""

from alembic import context, op

from reelay.db.migrations.scripts import run_script

revision = "0010"
down_revision = "0009"

SLOTS = """
alter table users
    add column slot_weight double precision not null default 1,
    add column highest_priority text not null default 'high',
    add constraint slot_weight_is_positive check (slot_weight > 0 and slot_weight < 'infinity');
alter table generation_jobs
    add column priority text not null default 'normal',
    add column slot_granted_at timestamptz,
    add column slot_withheld boolean not null default false,
    add constraint valid_priority check (priority in ('low', 'normal', 'high')) not valid;
alter table generation_jobs validate constraint valid_priority;

create table slot_limits (
    provider text not null,
    endpoint text not null,
    slots integer,
    slots_per_user integer,
    changed_at timestamptz not null default now(),
    primary key (provider, endpoint),
    constraint limits_are_not_negative check (slots >= 0 and slots_per_user >= 0)
);
create table slot_queues (
    provider text primary key,
    last_start double precision not null default 0
);
create table slot_shares (
    provider text not null,
    user_id uuid not null references users on delete cascade,
    next_start double precision not null,
    primary key (provider, user_id)
);
alter table slot_shares enable row level security, force row level security;
create policy service on slot_shares to current_user using (true);

-- Of the transaction's user.
create function highest_priority() returns text
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select highest_priority from users where id = nullif(current_setting('app.user_id', true), '')::uuid
$$;
revoke execute on function highest_priority from public;
"""


def upgrade() -> None:
    run_script(op.get_bind(), SLOTS)
    app_role = op.get_bind().dialect.identifier_preparer.quote(context.get_context().opts["app_role"])
    run_script(op.get_bind(), f"grant execute on function highest_priority to {app_role}")
