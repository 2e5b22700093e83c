"""What Postgres' own catalogue must say for row-level security to hold: each rule is a query for who breaks it."""

from collections.abc import Mapping

import asyncpg

from lab.devstack.postgres import APP, OWNER, SERVICE

OWN_ROWS = "(user_id = (NULLIF(current_setting('app.user_id'::text, true), ''::text))::uuid)"

SECURITY_DEFINERS: Mapping[str, str] = {
    "hold_credits": "takes no amount, owner or price from its caller, who may write no entry and no balance",
    "key_owner": "names a key's user to whom knows its keyed hash, and nothing of other keys",
    "provision_user": "makes a user without credits, and tells no more of one than whether it may come in",
    "caller_by_key": "names a key's user to whom knows its keyed hash, and nothing of other keys",
    "caller_by_token": "makes a user without credits, keeps its e-mail address, and tells no more than who may come in",
    "sign_out": "makes links, tokens and sessions end, and lets nobody do or read more than before",
    "complete_external_change": "a trigger: adds the event of a row that its writer may write",
    "write_job_events": "a trigger: adds the events of a row that its writer may write",
    "write_outgoing_event": "is called by the functions beside it alone, for the user of a row or of the transaction",
    "complete_batch": "is called by the trigger beside it alone, for the batch of a row that its writer may write",
    "write_pipeline_events": "a trigger: adds the events of a row that its writer may write",
    "write_approval_events": "a trigger: adds the events of a row that its writer may write",
    "set_wake_times": "a trigger: says when deliveries to an endpoint are due whose row its writer may write",
    "test_webhook_endpoint": "adds a test of an endpoint of the transaction's user",
    "refuse_deleted_id": "a trigger: keeps a row from being written whose id a deleted job had, and shows nothing",
    "detach_from_jobs": "takes a campaign or a clip from jobs of the transaction's user, who may delete it as well",
    "media_link": "signs an address for its owner's reading alone, for two hours at most, and shows no key",
    "usual_durations": "tells how long jobs of a model took, of all users together",
    "highest_priority": "tells the transaction's user one word about itself",
    "spend_key_budget": "takes no amount, owner or key from its caller, and lets a key spend less than before",
    "key_budget": "tells the transaction's user what one of its keys may spend",
    "restore_key_budget": "a trigger: counts a key less for a row that its writer may write",
    "lock_generation": "locks a row of the transaction's user, and shows nothing",
    "inherit_request": "gives a request of a failed job of the transaction's user to another job of that user",
}
"""Functions that run as their owner, and why that is safe."""

OURS = f"""
    with app as (select oid, rolname from pg_roles where rolname = '{APP}'),
    guests as (select oid, rolname from pg_roles where rolname in ('{APP}', '{SERVICE}')),
    relations as (
        select c.oid, c.relname, c.relkind, c.relacl, c.reloptions,
            c.relrowsecurity and c.relforcerowsecurity as forced,
            exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'user_id') as of_user,
            exists (select from app, aclexplode(c.relacl) g where g.grantee = app.oid) as granted,
            exists (
                select from app, aclexplode(c.relacl) g
                where g.grantee = app.oid and g.privilege_type in ('INSERT', 'UPDATE')
            ) as written
        from pg_class c where c.relnamespace = 'public'::regnamespace
    ),
    tables as (select * from relations where relkind in ('r', 'p') and relname <> 'alembic_version')
"""

RULES: Mapping[str, str] = {
    "no role of ours has powers over others": f"""
        select rolname from pg_roles where rolname in ('{APP}', '{SERVICE}', '{OWNER}')
            and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)
    """,
    "neither the API's role nor the service role owns anything": """
        select pg_describe_object(classid, objid, objsubid) from pg_shdepend
        where refclassid = 'pg_authid'::regclass and refobjid in (select oid from guests) and deptype = 'o'
            and dbid in (0, (select oid from pg_database where datname = current_database()))
    """,
    "neither is a member of another": """
        select roleid::regrole::text from pg_auth_members where member in (select oid from guests)
    """,
    "neither makes anything": """
        select 'public' from guests where has_schema_privilege(oid, 'public', 'create')
        union all select 'database' from guests where has_database_privilege(oid, current_database(), 'create')
    """,
    "what a user owns, or the API's role may touch, is under forced row-level security": """
        select relname from tables where (of_user or granted) and not forced
    """,
    "the API's role sees a user's own rows alone": f"""
        select tablename from pg_policies, app where app.rolname = any (roles) and (
            coalesce(qual, with_check) <> $own${OWN_ROWS}$own$ or coalesce(with_check, qual) <> $own${OWN_ROWS}$own$
        )
    """,
    "a table that the API's role may touch has a policy for it": """
        select relname from tables where granted and not exists (
            select from pg_policies, app
            where schemaname = 'public' and tablename = relname and app.rolname = any (roles)
                and permissive = 'PERMISSIVE'
        )
    """,
    "all rows are seen by the service role and the owner, and by nobody else": f"""
        select tablename from pg_policies, app
        where not app.rolname = any (roles) and not roles <@ array['{SERVICE}', '{OWNER}']::name[]
        union all
        select relname from tables where forced and not exists (
            select from pg_policies where schemaname = 'public' and tablename = relname and '{SERVICE}' = any (roles)
                and qual = 'true' and coalesce(with_check, qual) = 'true'
        )
    """,
    "a privilege is to read or change rows, for one of the two, and not to be passed on": """
        select relname || ' ' || privilege_type from relations, aclexplode(relacl) as g
        where (g.grantee = 0 or g.grantee in (select oid from guests)) and (
            g.grantee = 0 or is_grantable or privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
        )
        union all
        select attrelid::regclass || '.' || attname from pg_attribute join relations on relations.oid = attrelid,
            aclexplode(attacl) as g
        where (g.grantee = 0 or g.grantee in (select oid from guests)) and privilege_type <> 'SELECT'
        union all
        select 'default ' || privilege_type from pg_default_acl, aclexplode(defaclacl) as g
        where g.grantee = 0 or g.grantee in (select oid from guests)
    """,
    "a unique key that the API's role can run into begins with the user or is a random id": """
        select indexrelid::regclass::text from pg_index join tables on tables.oid = indrelid
            join pg_attribute a on a.attrelid = indrelid and a.attnum = indkey[0]
        where indisunique and written and a.attname <> 'user_id' and a.attidentity <> 'a'
            and not (a.attname = 'id' and a.atttypid = 'uuid'::regtype)
    """,
    "a row points to rows of its own user": """
        select conname from pg_constraint
            join tables as child on child.oid = conrelid join tables as parent on parent.oid = confrelid
        where contype = 'f' and child.of_user and parent.of_user and not exists (
            select from unnest(conkey, confkey) as pair (ours, theirs)
                join pg_attribute a on a.attrelid = conrelid and a.attnum = ours and a.attname = 'user_id'
                join pg_attribute b on b.attrelid = confrelid and b.attnum = theirs and b.attname = 'user_id'
        )
    """,
    "a view asks as its reader": """
        select relname from relations
        where (relkind = 'v' and not coalesce('security_invoker=true' = any (reloptions), false))
            or (relkind = 'm' and granted)
    """,
    "a function runs as its caller, or is one of the few with a reason, a fixed path and named callers": f"""
        select proname from pg_proc where pronamespace = 'public'::regnamespace and prosecdef and (
            proname not in ({", ".join(f"'{name}'" for name in SECURITY_DEFINERS)})
            or not coalesce(proconfig::text like '%search_path=pg_catalog%', false)
            or proacl is null
            or exists (
                select from aclexplode(proacl) as g
                where g.grantee <> proowner and g.grantee not in (select oid from guests)
            )
        )
    """,
    "the audit log is only added to": """
        select relname || ' ' || privilege_type from relations, aclexplode(relacl) as g
        where relname = 'audit_log' and g.grantee in (select oid from guests)
            and privilege_type not in ('SELECT', 'INSERT')
        union all
        select relname from relations where relname = 'audit_log' and not exists (
            select from pg_trigger where tgrelid = relations.oid and tgname = 'refuse_change' and tgenabled <> 'D'
        )
    """,
    "no function of ours is said to be leakproof": """
        select proname from pg_proc where pronamespace = 'public'::regnamespace and proleakproof
    """,
}


async def broken_rules(connection: asyncpg.Connection) -> dict[str, list[str]]:
    """Of the database as it is now: each rule that does not hold, with what breaks it."""
    found = {rule: [str(row[0]) for row in await connection.fetch(OURS + query)] for rule, query in RULES.items()}
    return {rule: offenders for rule, offenders in found.items() if offenders}
