"""What a creation takes of its user, in one call: quota, limit of living jobs, credits, the key's budget."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0033"
down_revision = "0032"

# The bucket is refilled by the time that went by, then emptied by what is wanted of it, or by what there is.
# Measured from the transaction's beginning, which can lie before the row's last change: hence `greatest`.
TAKE = """
create function take_from_quota(
    owner uuid, quota text, amount double precision, rate double precision, wanted integer,
    out granted integer, out left_over double precision
) language plpgsql set search_path = pg_catalog, public, pg_temp as $$
begin
    insert into quotas as held (user_id, name, left_over, granted)
    values (owner, quota, amount - least(wanted, amount), least(wanted, amount))
    on conflict on constraint quotas_pkey do update set (left_over, granted, counted_at) = (
        select taken.available - taken.granted, taken.granted, greatest(now(), held.counted_at)
        from (
            select filled.available, cast(least(wanted, floor(filled.available)) as integer) as granted
            from (
                select least(amount, held.left_over + rate * greatest(0, extract(epoch from now() - held.counted_at)))
                    as available
            ) as filled
        ) as taken
    )
    returning held.granted, held.left_over into granted, left_over;
end
$$;
"""

# Goes no further than what refuses: no quota left; too many living jobs; `refused`, a job whose price the account or,
# with `key_budget`, its key has not. In this order for every creation: two that locked in another one would wait for
# each other.
ADMIT = """
create function admit_creation(
    jobs uuid[], quota text, amount double precision, rate double precision, most_active integer, is_metered boolean,
    out granted integer, out left_over double precision, out is_crowded boolean, out refused uuid,
    out is_held boolean, out available bigint, out monthly_budget bigint, out spent_this_month bigint,
    out key_budget bigint, out key_spent bigint
) language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    owner uuid := nullif(current_setting('app.user_id', true), '')::uuid;
    job uuid;
    is_within boolean;
begin
    is_crowded := false;
    if amount is not null then
        select * into granted, left_over from take_from_quota(owner, quota, amount, rate, 1);
        if granted = 0 then
            return;
        end if;
    end if;
    if most_active is not null then
        select count(*) > most_active into is_crowded from (
            select from generation_jobs
            where user_id = owner and status in ('pending', 'submitted', 'in_progress') limit most_active + 1
        ) as living;
        if is_crowded then
            return;
        end if;
    end if;

    if is_metered then
        foreach job in array jobs loop
            select * into is_held, available, monthly_budget, spent_this_month from hold_credits(job);
            if not is_held then
                refused := job;
                return;
            end if;
        end loop;
    end if;
    foreach job in array jobs loop
        if exists (select from generation_jobs where id = job and budget_key_id is not null) then
            select * into is_within, key_budget, key_spent from spend_key_budget(job);
            if not is_within then
                refused := job;
                return;
            end if;
        end if;
    end loop;
end
$$;
"""


def upgrade() -> None:
    run_script(op.get_bind(), TAKE)
    run_script(op.get_bind(), ADMIT)
