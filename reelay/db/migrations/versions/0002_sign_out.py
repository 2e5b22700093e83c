"""Who signs out ends what was handed out to them: links to media, tokens in URLs, and sessions of their identity."""

from alembic import context, op

from reelay.db.migrations.scripts import run_script

revision = "0002"
down_revision = "0001"

# Expand: `key_owner` and `provision_user` stay for the processes of the version before, and go with the next release.
SIGN_OUT = """
-- What was issued before is refused: of a key what was handed out to it, of a user without one the tokens, too.
alter table users add column signed_out_at timestamptz;
alter table api_keys add column signed_out_at timestamptz;

create function caller_by_key(key_hash bytea) returns table (user_id uuid, scope text, signed_out_at timestamptz)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select api_keys.user_id, api_keys.scope, api_keys.signed_out_at
    from api_keys join users on users.id = api_keys.user_id
    where api_keys.hash = key_hash and revoked_at is null and (expires_at is null or expires_at > now())
        and users.disabled_at is null
$$;

-- The user of a verified token, made at first sight, named by the id, without credits; no row for one who is disabled.
create function caller_by_token(wanted uuid) returns table (signed_out_at timestamptz)
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    insert into users (id, name) values (wanted, wanted::text) on conflict do nothing;
    select signed_out_at from users where id = wanted and disabled_at is null;
$$;

-- Of whole seconds, as tokens tell their time: the next one, so that what was issued in this one is refused.
create function sign_out(wanted uuid, key_hash bytea) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    update api_keys set signed_out_at = date_trunc('second', now()) + interval '1 second'
    where user_id = wanted and hash = key_hash;
    update users set signed_out_at = date_trunc('second', now()) + interval '1 second'
    where id = wanted and key_hash = '';
$$;

create or replace function media_link(owner uuid, address text) returns text
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    with reader as (
        select coalesce(
            nullif(current_setting('app.user_id', true), ''),
            nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub'
        )::uuid as id
    ), clock as (
        select floor(extract(epoch from now()) / 3600)::bigint * 3600 as period
    ), link as (
        select origin, inner_block, outer_block, period + 7200 as expires,
            decode(replace(owner::text, '-', ''), 'hex') || int8send(greatest(
                period, extract(epoch from (select signed_out_at from users where id = owner))::bigint
            )) as fields
        from media_link_key, clock
    ), signed as (
        select origin, expires, fields || sha256(
            outer_block || sha256(inner_block || fields || convert_to(concat(' ', expires, ' ', address), 'UTF8'))
        ) as signature
        from link
    )
    select case
        when address not like '/%' then address
        when reader.id <> owner then null
        else coalesce(
            origin || address || '?expires=' || expires || '&signature='
                || translate(encode(signature, 'base64'), E'+/=\\n', '-_'),
            address
        )
    end
    from reader left join signed on true
$$;
"""
APP_FUNCTIONS = ("caller_by_key", "caller_by_token", "sign_out")


def upgrade() -> None:
    run_script(op.get_bind(), SIGN_OUT)
    app_role = op.get_bind().dialect.identifier_preparer.quote(context.get_context().opts["app_role"])
    for function in APP_FUNCTIONS:
        run_script(
            op.get_bind(),
            f"""
            revoke execute on function {function} from public;
            grant execute on function {function} to {app_role};
            """,
        )
