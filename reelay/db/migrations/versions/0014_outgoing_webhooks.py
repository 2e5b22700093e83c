"""Outgoing webhooks: who wants to be told, what there is to tell, and each delivery of it."""

from alembic import context, op

from reelay.db.migrations.scripts import run_script

revision = "0014"
down_revision = "0013"

TABLES = """
alter table generation_jobs add webhook_url text;

create table webhook_endpoints (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references users on delete cascade,
    url text not null,
    events text[],
    description text not null default '',
    status text not null default 'unverified',
    disabled_reason text,
    disabled_at timestamptz,
    secret bytea not null,
    previous_secret bytea,
    previous_secret_until timestamptz,
    verified_at timestamptz,
    failing_since timestamptz,
    last_failed_at timestamptz,
    created_at timestamptz not null default now(),
    unique (user_id, id),
    constraint valid_status check (status in ('unverified', 'enabled', 'disabled')),
    constraint valid_disabled_reason check (disabled_reason in ('requested', 'gone', 'failing')),
    constraint disabled_with_a_reason check ((status = 'disabled') = (disabled_reason is not null))
);

create table outgoing_sequences (
    user_id uuid primary key references users on delete cascade,
    last bigint not null
);

create table outgoing_events (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references users on delete cascade,
    sequence bigint not null,
    type text not null,
    job_id uuid,
    at timestamptz not null default now(),
    unique (user_id, sequence),
    unique (user_id, id),
    foreign key (user_id, job_id) references generation_jobs (user_id, id) on delete cascade
);
create index outgoing_events_of_job on outgoing_events (job_id);
create index outgoing_events_by_time on outgoing_events (at);

create table outgoing_deliveries (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    event_id uuid not null,
    endpoint_id uuid,
    target_id uuid not null,
    state text not null default 'pending',
    tries integer not null default 0,
    next_try_at timestamptz not null default now(),
    wake_at timestamptz default now(),
    attempts jsonb not null default '[]',
    created_at timestamptz not null default now(),
    ended_at timestamptz,
    unique (user_id, event_id, target_id),
    foreign key (user_id, event_id) references outgoing_events (user_id, id) on delete cascade,
    foreign key (user_id, endpoint_id) references webhook_endpoints (user_id, id) on delete cascade,
    constraint valid_state check (state in ('pending', 'delivered', 'failed'))
);
create index outgoing_deliveries_due on outgoing_deliveries (target_id, next_try_at) where state = 'pending';
create index outgoing_deliveries_to_wake on outgoing_deliveries (wake_at) where wake_at is not null;
create index outgoing_deliveries_of_endpoint on outgoing_deliveries (endpoint_id, created_at desc, id desc);
"""

# The lock on the user's row of `outgoing_sequences` is held to the end of the transaction, so that events become
# visible in the order of their numbers: who has read number N has missed none below it.
FUNCTIONS = """
create function write_outgoing_event(owner uuid, kind text, job uuid, only_to uuid) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    number bigint;
    event uuid;
begin
    insert into outgoing_sequences as given (user_id, last) values (owner, 1)
    on conflict (user_id) do update set last = given.last + 1
    returning last into number;
    insert into outgoing_events (user_id, sequence, type, job_id) values (owner, number, kind, job)
    returning id into event;
    with endpoints as (
        select id from webhook_endpoints
        where user_id = owner and case
            when only_to is null then status = 'enabled' and (events is null or kind = any (events))
            else id = only_to
        end
        for key share -- one that is being deleted is waited for, and is none then
    )
    insert into outgoing_deliveries (user_id, event_id, endpoint_id, target_id)
    select owner, event, id, id from endpoints
    union all
    -- What a job's own address is told one after the other: all of the user's jobs that name it.
    select owner, event, null, md5(owner || ' ' || webhook_url)::uuid from generation_jobs
    where id = job and webhook_url is not null;
end
$$;

-- A test of the transaction's user's own endpoint. False when there is none of that id.
create function test_webhook_endpoint(endpoint uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    owner uuid := nullif(current_setting('app.user_id', true), '')::uuid;
begin
    if not exists (select from webhook_endpoints where id = endpoint and user_id = owner) then
        return false;
    end if;
    perform write_outgoing_event(owner, 'webhook.test', null, endpoint);
    return true;
end
$$;

-- In the transaction that changes the row, whoever changes it, and deferred to its end: so it locks
-- `outgoing_sequences` last. Users whose events nobody wants cost one look at an index.
create function write_job_events() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if new.webhook_url is null and not exists (select from webhook_endpoints where user_id = new.user_id) then
        return null;
    end if;
    if old.submitted_at is null and new.submitted_at is not null then
        perform write_outgoing_event(new.user_id, 'job.submitted', new.id, null);
    end if;
    if new.status <> old.status and new.status in ('completed', 'failed', 'canceled') then
        perform write_outgoing_event(new.user_id, 'job.' || new.status, new.id, null);
    end if;
    return null;
end
$$;
create constraint trigger write_job_events after update on generation_jobs
    deferrable initially deferred
    for each row when (
        (old.submitted_at is null and new.submitted_at is not null)
        or (new.status <> old.status and new.status in ('completed', 'failed', 'canceled'))
    ) execute function write_job_events();
revoke execute on function write_outgoing_event, test_webhook_endpoint, write_job_events from public;
"""

APP_GRANTS = {
    "webhook_endpoints": "select, insert, update, delete",
    "outgoing_events": "select",
    "outgoing_deliveries": "select, insert, update",
    "outgoing_sequences": None,
}


def upgrade() -> None:
    run_script(op.get_bind(), TABLES)
    run_script(op.get_bind(), FUNCTIONS)
    app_role = op.get_bind().dialect.identifier_preparer.quote(context.get_context().opts["app_role"])
    run_script(op.get_bind(), f"grant execute on function test_webhook_endpoint to {app_role}")
    for table, privileges in APP_GRANTS.items():
        run_script(
            op.get_bind(),
            f"""
            alter table {table} enable row level security, force row level security;
            create policy service on {table} to current_user using (true);
            """,
        )
        if privileges:
            run_script(
                op.get_bind(),
                f"""
                create policy own_rows on {table} to {app_role}
                    using (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
                grant {privileges} on {table} to {app_role};
                """,
            )
