"""What an account's jobs of one month cost, kept with it: a budget is checked by one row.

A month (UTC) is that of the hold: the moment at which it was booked, under the account's lock.
"""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0007"
down_revision = "0006"

MONTH_SUMS = """
alter table credit_accounts add column month date, add column month_cents bigint not null default 0;

update credit_accounts as account
set month = of_month.month, month_cents = of_month.cents
from (
    select hold.user_id, date_trunc('month', now() at time zone 'utc')::date as month,
        sum(hold.held_cents - coalesce(ended.available_cents, 0)) as cents
    from credit_entries as hold
    left join credit_entries as ended on ended.job_id = hold.job_id and ended.phase in ('settle', 'release')
    where hold.phase = 'hold' and hold.at >= date_trunc('month', now() at time zone 'utc') at time zone 'utc'
    group by hold.user_id
) as of_month
where of_month.user_id = account.user_id;

create or replace function hold_credits(
    job uuid, out is_held boolean, out available bigint, out monthly_budget bigint, out spent_this_month bigint
) language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    owner uuid;
    price bigint;
    account credit_accounts;
    booked_at timestamptz;
    this_month date;
    spent bigint;
begin
    select user_id, estimated_cost_cents into strict owner, price from generation_jobs
    where id = job and user_id = nullif(current_setting('app.user_id', true), '')::uuid;

    select * into strict account from credit_accounts where user_id = owner for no key update;
    available := account.available_cents;
    is_held := available >= price;

    booked_at := clock_timestamp();  -- after the lock was had: holds of one account are booked in order
    this_month := date_trunc('month', booked_at at time zone 'utc');
    spent := case when account.month = this_month then account.month_cents else 0 end;
    select monthly_budget_cents into monthly_budget from users where id = owner;
    if monthly_budget is not null then
        spent_this_month := spent;
        is_held := is_held and spent + price <= monthly_budget;
    end if;

    if is_held then
        insert into credit_entries (user_id, job_id, phase, available_cents, held_cents, at)
        values (owner, job, 'hold', -price, price, booked_at);
        update credit_accounts
        set available_cents = available_cents - price, held_cents = held_cents + price,
            month = this_month, month_cents = spent + price
        where user_id = owner;
    end if;
end
$$;
"""


def upgrade() -> None:
    run_script(op.get_bind(), MONTH_SUMS)
