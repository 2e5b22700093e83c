"""Pipelines: jobs and mixes that depend on each other."""

from alembic import context, op

from reelay.db.migrations.scripts import create_index_concurrently, run_script

revision = "0021"
down_revision = "0020"

TABLES = """
create table pipelines (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    clip_id uuid,
    name text not null default '',
    status text not null default 'running',
    steps json not null default '{}',
    approvals text[] not null default '{}',
    budget_cents bigint,
    reuse boolean not null default true,
    rerun_of uuid,
    estimated_cost_cents bigint not null default 0,
    metadata jsonb not null default '{}'::jsonb,
    webhook_url text,
    request_fingerprint bytea,
    created_at timestamptz not null default now(),
    completed_at timestamptz,
    check_at timestamptz not null default now(),
    unique (user_id, id),
    foreign key (user_id, clip_id) references campaign_clips (user_id, id)
        on delete set null (clip_id) deferrable initially deferred,
    constraint valid_status check (status in ('running', 'completed', 'failed', 'canceled'))
);
create index pipelines_newest on pipelines (user_id, created_at desc, id desc);
create index pipelines_of_clip on pipelines (clip_id) where clip_id is not null;
create index pipelines_to_check on pipelines (check_at) where status = 'running';

create table pipeline_steps (
    pipeline_id uuid not null,
    id text not null,
    user_id uuid not null,
    position integer not null,
    status text not null default 'waiting',
    needs text[] not null default '{}',
    job_id uuid not null,
    note text,
    primary key (user_id, pipeline_id, id),
    foreign key (user_id, pipeline_id) references pipelines (user_id, id) on delete cascade,
    constraint valid_step_status check (
        status in ('waiting', 'running', 'waiting_for_approval', 'completed', 'reused', 'failed', 'skipped')
    )
);
create index pipeline_steps_of_pipeline on pipeline_steps (pipeline_id);
create index pipeline_steps_of_job on pipeline_steps (job_id);

alter table campaign_clips add final jsonb not null default '{}'::jsonb;
alter table generation_jobs
    add pipeline_id uuid, add is_planned boolean not null default false, add content_key text;
alter table outgoing_events add pipeline_id uuid;
alter table outgoing_events add constraint outgoing_events_pipeline
    foreign key (user_id, pipeline_id) references pipelines (user_id, id) on delete cascade;
create index outgoing_events_of_pipeline on outgoing_events (pipeline_id) where pipeline_id is not null;
"""

# What `write_outgoing_event` and `write_job_events` of 0019 do, also for pipelines.
FUNCTIONS = """
drop function write_outgoing_event(uuid, text, uuid, uuid, uuid);
create function write_outgoing_event(
    owner uuid, kind text, job uuid default null, batch uuid default null, only_to uuid default null,
    pipeline uuid default null
) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    number bigint;
    event uuid;
begin
    insert into outgoing_sequences as given (user_id, last) values (owner, 1)
    on conflict (user_id) do update set last = given.last + 1
    returning last into number;
    insert into outgoing_events (user_id, sequence, type, job_id, batch_id, pipeline_id)
    values (owner, number, kind, job, batch, pipeline)
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
    -- What an address of the user's own jobs, batches and pipelines is told comes one after the other.
    select owner, event, null, md5(owner || ' ' || address)::uuid from (
        select webhook_url from generation_jobs where id = job
        union all
        select webhook_url from batches where id = batch
        union all
        select webhook_url from pipelines where id = pipeline
    ) as own (address) where address is not null;
end
$$;
revoke execute on function write_outgoing_event from public;

create or replace function write_job_events() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    has_ended boolean := new.status <> old.status and new.status in ('completed', 'failed', 'canceled');
begin
    if new.is_planned then -- a pipeline's step that never began: nobody is told
        return null;
    end if;
    if has_ended and new.batch_id is not null then -- before `outgoing_sequences`, which is locked last
        perform from batches where id = new.batch_id for no key update;
    end if;
    if new.webhook_url is not null or exists (select from webhook_endpoints where user_id = new.user_id) then
        if old.submitted_at is null and new.submitted_at is not null then
            perform write_outgoing_event(new.user_id, 'job.submitted', job => new.id);
        end if;
        if has_ended then
            perform write_outgoing_event(new.user_id, 'job.' || new.status, job => new.id);
        end if;
    end if;
    if has_ended and new.batch_id is not null then
        perform complete_batch(new.batch_id);
    end if;
    return null;
end
$$;

-- Deferred to the end of the transaction, as that of jobs: it locks `outgoing_sequences` last.
create function write_pipeline_events() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if exists (select from webhook_endpoints where user_id = new.user_id)
        or exists (select from pipelines where id = new.id and webhook_url is not null)
    then
        perform write_outgoing_event(new.user_id, 'pipeline.' || new.status, pipeline => new.id);
    end if;
    return null;
end
$$;
create constraint trigger write_pipeline_events after update on pipelines
    deferrable initially deferred
    for each row when (new.status <> old.status and new.status in ('completed', 'failed'))
    execute function write_pipeline_events();

create function write_approval_events() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if exists (select from webhook_endpoints where user_id = new.user_id)
        or exists (select from pipelines where id = new.pipeline_id and webhook_url is not null)
    then
        perform write_outgoing_event(new.user_id, 'pipeline.waiting_for_approval', pipeline => new.pipeline_id);
    end if;
    return null;
end
$$;
create constraint trigger write_approval_events after update on pipeline_steps
    deferrable initially deferred
    for each row when (new.status <> old.status and new.status = 'waiting_for_approval')
    execute function write_approval_events();

-- Streams of a pipeline hear of what changes beside its jobs.
create function notify_pipeline_change() returns trigger language plpgsql as $$
begin
    perform pg_notify('generation_changed', coalesce(to_jsonb(new) ->> 'pipeline_id', new.id::text));
    return null;
end
$$;
create trigger notify_pipeline_change after update on pipelines
    for each row when (new.status <> old.status) execute function notify_pipeline_change();
create trigger notify_step_change after update on pipeline_steps
    for each row when (new.status <> old.status) execute function notify_pipeline_change();
revoke execute on function write_pipeline_events, write_approval_events from public;
"""

APP_GRANTS = {"pipelines": "select, insert, update", "pipeline_steps": "select, insert, update"}


def upgrade() -> None:
    run_script(op.get_bind(), TABLES)
    run_script(op.get_bind(), FUNCTIONS)
    app_role = op.get_bind().dialect.identifier_preparer.quote(context.get_context().opts["app_role"])
    for table, privileges in APP_GRANTS.items():
        run_script(
            op.get_bind(),
            f"""
            alter table {table} enable row level security, force row level security;
            create policy service on {table} to current_user using (true);
            create policy own_rows on {table} to {app_role}
                using (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
            grant {privileges} on {table} to {app_role};
            """,
        )
    create_index_concurrently(
        "generation_jobs_of_pipeline", "on generation_jobs (pipeline_id) where pipeline_id is not null"
    )
    create_index_concurrently(
        "generation_jobs_by_content", "on generation_jobs (user_id, content_key) where content_key is not null"
    )
