"""API keys that may spend so much and no more, over all the jobs that they make."""

from alembic import context, op

from reelay.db.migrations.scripts import run_script

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

TABLES = """
alter table api_keys add column budget_cents bigint, add column spent_cents bigint not null default 0,
    add constraint budget_is_kept check (spent_cents >= 0 and spent_cents <= budget_cents);
alter table generation_jobs add column budget_key_id uuid;
"""

FUNCTIONS = """
drop function caller_by_key(bytea);
create function caller_by_key(key_hash bytea)
returns table (user_id uuid, scope text, signed_out_at timestamptz, budget_key_id uuid)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select api_keys.user_id, api_keys.scope, api_keys.signed_out_at,
        case when api_keys.budget_cents is not null then api_keys.id end
    from api_keys join users on users.id = api_keys.user_id
    where api_keys.hash = key_hash and revoked_at is null and (expires_at is null or expires_at > now())
        and users.disabled_at is null
$$;

-- Counts the price of a job against the key that made it, both as the job's row names them: called once, in the
-- transaction that inserts the job, after its hold. The lock on the key makes those of one key wait for each other.
create function spend_key_budget(job uuid, out is_within boolean, out budget bigint, out spent bigint)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    key uuid;
    price bigint;
begin
    select budget_key_id, estimated_cost_cents into strict key, price from generation_jobs
    where id = job and user_id = nullif(current_setting('app.user_id', true), '')::uuid;

    select budget_cents, spent_cents into strict budget, spent from api_keys where id = key for no key update;
    is_within := spent + price <= budget;
    if is_within then
        update api_keys set spent_cents = spent_cents + price where id = key;
    end if;
end
$$;

create function key_budget(key uuid) returns table (budget bigint, spent bigint)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select budget_cents, spent_cents from api_keys
    where id = key and budget_cents is not null
        and user_id = nullif(current_setting('app.user_id', true), '')::uuid
$$;

-- What the job of a key did not cost in the end. Also where there are no credits, so not by what was charged. Deferred:
-- after its credits, as `spend_key_budget` locks.
create function restore_key_budget() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    update api_keys
    set spent_cents = spent_cents - new.estimated_cost_cents
        + least(coalesce(new.actual_cost_cents, 0), new.estimated_cost_cents)
    where id = new.budget_key_id;
    return null;
end
$$;
create constraint trigger restore_key_budget after update on generation_jobs
    deferrable initially deferred
    for each row when (
        new.budget_key_id is not null
        and old.status not in ('completed', 'failed', 'canceled') and new.status in ('completed', 'failed', 'canceled')
    ) execute function restore_key_budget();
revoke execute on function caller_by_key, spend_key_budget, key_budget, restore_key_budget from public;
"""
APP_FUNCTIONS = ("caller_by_key", "spend_key_budget", "key_budget")


def upgrade() -> None:
    run_script(op.get_bind(), TABLES)
    run_script(op.get_bind(), FUNCTIONS)
    app_role = op.get_bind().dialect.identifier_preparer.quote(context.get_context().opts["app_role"])
    for function in APP_FUNCTIONS:
        run_script(op.get_bind(), f"grant execute on function {function} to {app_role}")
