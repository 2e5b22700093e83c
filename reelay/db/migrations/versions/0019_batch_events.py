"""The end of a batch, and the event that tells of it."""

from alembic import op

from reelay.db.migrations.scripts import create_index_concurrently, run_script

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

TABLES = """
alter table batches add webhook_url text, add completed_at timestamptz;

alter table outgoing_events add batch_id uuid,
    add foreign key (user_id, batch_id) references batches (user_id, id) on delete cascade;
"""

FUNCTIONS = """
drop function write_outgoing_event(uuid, text, uuid, uuid);
create function write_outgoing_event(
    owner uuid, kind text, job uuid default null, batch uuid default null, only_to uuid default null
) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    number bigint;
    event uuid;
begin
    insert into outgoing_sequences as given (user_id, last) values (owner, 1)
    on conflict (user_id) do update set last = given.last + 1
    returning last into number;
    insert into outgoing_events (user_id, sequence, type, job_id, batch_id) values (owner, number, kind, job, batch)
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
    -- What an address of the user's own jobs and batches is told comes one after the other.
    select owner, event, null, md5(owner || ' ' || address)::uuid from (
        select webhook_url from generation_jobs where id = job
        union all
        select webhook_url from batches where id = batch
    ) as own (address) where address is not null;
end
$$;

create or replace function test_webhook_endpoint(endpoint uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    owner uuid := nullif(current_setting('app.user_id', true), '')::uuid;
begin
    if not exists (select from webhook_endpoints where id = endpoint and user_id = owner) then
        return false;
    end if;
    perform write_outgoing_event(owner, 'webhook.test', only_to => endpoint);
    return true;
end
$$;

-- The caller has locked the batch's row, in a statement before this one: so the last of two jobs that end at once sees
-- that the other has ended.
create function complete_batch(ended uuid) returns void
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    batch batches;
begin
    select * into batch from batches where id = ended and completed_at is null;
    if not found or exists (
        select from generation_jobs where batch_id = ended and status not in ('completed', 'failed', 'canceled')
    ) then
        return;
    end if;
    update batches set completed_at = now() where id = ended;
    if batch.webhook_url is not null
        or exists (select from webhook_endpoints where user_id = batch.user_id) then
        perform write_outgoing_event(batch.user_id, 'batch.completed', batch => ended);
    end if;
end
$$;

create or replace function write_job_events() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    has_ended boolean := new.status <> old.status and new.status in ('completed', 'failed', 'canceled');
begin
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
revoke execute on function write_outgoing_event, complete_batch from public;
"""


def upgrade() -> None:
    run_script(op.get_bind(), TABLES)
    run_script(op.get_bind(), FUNCTIONS)
    create_index_concurrently("outgoing_events_of_batch", "on outgoing_events (batch_id) where batch_id is not null")
