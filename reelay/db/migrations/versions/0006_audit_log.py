"""What operators did, in entries that nobody changes or removes."""

from alembic import op

from reelay.db.migrations.scripts import run_script

revision = "0006"
down_revision = "0005"

# No foreign keys: an entry outlives whom it names. The service role's right to change rows is taken away again in
# `reelay.db.migrate`, which grants it for all tables; the trigger holds for the owner as well.
TABLE = """
create table audit_log (
    id uuid primary key default gen_random_uuid(),
    at timestamptz not null default clock_timestamp(),
    actor_id uuid,
    actor text not null,
    credential text not null,
    action text not null,
    subject text not null,
    user_id uuid,
    details jsonb not null default '{}'
);
create index audit_log_newest on audit_log (at desc, id desc);

alter table audit_log enable row level security, force row level security;
create policy service on audit_log to current_user using (true);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% of %: it is only added to', tg_op, tg_table_name using errcode = 'insufficient_privilege';
end
$$;
create trigger refuse_change before update or delete or truncate on audit_log
    for each statement execute function refuse_change();
"""


def upgrade() -> None:
    run_script(op.get_bind(), TABLE)
