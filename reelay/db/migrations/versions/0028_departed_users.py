"""Who was deleted, by a hash: what was issued to them before makes no new user of them."""

from alembic import context, op

from reelay.db.migrations.scripts import run_script

revision = "0028"
down_revision = "0027"

# Calls with fewer arguments, of the processes of the version before, reach the new function.
DEPARTED = """
create table departed_users (
    user_hash bytea primary key,
    departed_at timestamptz not null
);
alter table departed_users enable row level security, force row level security;
create policy service on departed_users to current_user using (true);

drop function caller_by_token(uuid, text);
-- The user of a verified token, made at first sight, named by the id, without credits; no row for one who is disabled,
-- nor for a token that was issued before its user was deleted.
create function caller_by_token(wanted uuid, address text default null, issued_at timestamptz default now())
returns table (signed_out_at timestamptz)
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if exists (
        select from departed_users
        where user_hash = sha256(convert_to(wanted::text, 'UTF8')) and departed_at >= issued_at
    ) then
        return;
    end if;
    insert into users (id, name, email) values (wanted, wanted::text, address) on conflict do nothing;
    update users set email = address where id = wanted and email is distinct from address and address is not null;
    return query select users.signed_out_at from users where id = wanted and disabled_at is null;
end
$$;
revoke execute on function caller_by_token from public;
grant execute on function caller_by_token to {app_role};
"""


def upgrade() -> None:
    app_role = op.get_bind().dialect.identifier_preparer.quote(context.get_context().opts["app_role"])
    run_script(op.get_bind(), DEPARTED.format(app_role=app_role))
