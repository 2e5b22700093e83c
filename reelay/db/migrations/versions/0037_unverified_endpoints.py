"""Events for an unverified endpoint are written, too: their deliveries wait until it is enabled."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0037"
down_revision = "0036"

# What `write_outgoing_event` of 0021 does, also for unverified endpoints. `wake_at` null: it waits. `next_try_at` is
# taken under the lock on `outgoing_sequences`, so that it grows with the sequence number.
WRITE = """
create or replace function write_outgoing_event(
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
        select id, only_to is not null or status = 'enabled' as is_sent from webhook_endpoints
        where user_id = owner and case
            when only_to is null then status <> 'disabled' and (events is null or kind = any (events))
            else id = only_to
        end
        for key share -- one that is being deleted is waited for, and is none then
    )
    insert into outgoing_deliveries (user_id, event_id, endpoint_id, target_id, next_try_at, wake_at)
    select owner, event, id, id, clock_timestamp(), case when is_sent then now() end from endpoints
    union all
    -- What an address of the user's own jobs, batches and pipelines is told comes one after the other.
    select owner, event, null, md5(owner || ' ' || address)::uuid, clock_timestamp(), now() from (
        select webhook_url from generation_jobs where id = job
        union all
        select webhook_url from batches where id = batch
        union all
        select webhook_url from pipelines where id = pipeline
    ) as own (address) where address is not null;
end
$$;
"""

# By a trigger, since workers of the version before enable endpoints as well. Events are written under the lock on
# `outgoing_sequences`: the deliveries of those before it are changed here, those after it see the new status.
WAKE = """
create function set_wake_times() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    perform from outgoing_sequences where user_id = new.user_id for no key update;
    if new.status = 'enabled' then
        update outgoing_deliveries
        set next_try_at = greatest(next_try_at, now()), wake_at = greatest(next_try_at, now())
        where target_id = new.id and state = 'pending' and wake_at is null;
    else
        update outgoing_deliveries as delivery set wake_at = null from outgoing_events as event
        where delivery.target_id = new.id and delivery.state = 'pending' and delivery.wake_at is not null
            and event.id = delivery.event_id and (new.status = 'disabled' or event.type <> 'webhook.test');
    end if;
    return null;
end
$$;
create trigger set_wake_times after update on webhook_endpoints
    for each row when (old.status <> new.status or old.disabled_at is distinct from new.disabled_at)
    execute function set_wake_times();
revoke execute on function set_wake_times from public;
"""


def upgrade() -> None:
    run_script(op.get_bind(), WRITE)
    run_script(op.get_bind(), WAKE)
