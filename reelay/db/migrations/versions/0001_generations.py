"""Users, campaigns, generations and all that belongs to them, behind row-level security."""

from alembic import context, op

from reelay.db.migrations.scripts import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = """
create table users (
    id uuid primary key default gen_random_uuid(),
    name text not null unique,
    monthly_budget_cents bigint,
    created_at timestamptz not null default now(),
    disabled_at timestamptz,
    constraint monthly_budget_is_not_negative check (monthly_budget_cents >= 0)
);

create table api_keys (
    id uuid primary key,
    user_id uuid not null references users on delete cascade,
    prefix text not null unique,
    hash bytea not null unique,
    scope text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
create index ix_api_keys_user_id on api_keys (user_id);

create table campaigns (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references users on delete cascade,
    name text not null,
    metadata jsonb not null default '{}',
    request_fingerprint bytea,
    created_at timestamptz not null default now(),
    unique (user_id, id)
);
create index ix_campaigns_user_id on campaigns (user_id);

create table campaign_clips (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    campaign_id uuid not null,
    title text not null default '',
    position integer not null default 0,
    status text not null default 'draft',
    video jsonb not null default '{}',
    first_frame jsonb not null default '{}',
    audio jsonb not null default '{}',
    metadata jsonb not null default '{}',
    request_fingerprint bytea,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    unique (user_id, id),
    foreign key (user_id, campaign_id) references campaigns (user_id, id) on delete cascade
);
create index campaign_clips_of_campaign on campaign_clips (campaign_id, position);

-- Every column has a default but those that the users' own backends set when they insert a job.
-- The foreign keys to campaign and clip are checked at the commit: until then the API can say which of them is wrong.
create table generation_jobs (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references users on delete cascade,
    campaign_id uuid,
    clip_id uuid,
    external_id text,
    origin text not null default 'external',
    job_type text not null,
    provider text not null default 'fal',
    model text not null default '',
    endpoint text not null default '',
    input_params jsonb not null default '{}',
    arguments jsonb not null default '{}',
    timing jsonb not null default '{
        "expected": "PT2M", "patience": "PT0S", "poll_interval": "PT10S", "adoption_window": "PT10M", "deadline": "PT1H"
    }',
    tariff jsonb,
    uncertain_submit_policy text not null default 'fail',
    request_fingerprint bytea,
    fal_request_id text,
    fal_status_url text,
    fal_response_url text,
    status text not null default 'pending',
    stage text not null default 'reserving',
    stage_at timestamptz not null default now(),
    attempts integer not null default 0,
    progress_percent integer not null default 0,
    progress_message text not null default '',
    result_url text,
    provider_url text,
    result_data jsonb,
    error_code text,
    error_message text,
    estimated_cost_cents bigint not null default 0,
    actual_cost_cents bigint,
    charged_cents bigint not null default 0,
    credits_deducted boolean not null default false,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    submitted_at timestamptz,
    completed_at timestamptz,
    outcome_delivery_id uuid,
    constraint valid_origin check (origin in ('reelay', 'external')),
    constraint valid_job_type check (job_type in (
        'video_veo31', 'video', 'first_frame', 'voice_chatterbox', 'ambient_elevenlabs', 'transcribe_whisper'
    )),
    constraint valid_status
        check (status in ('pending', 'submitted', 'in_progress', 'completed', 'failed', 'canceled')),
    constraint valid_progress check (progress_percent >= 0 and progress_percent <= 100),
    constraint costs_are_not_negative
        check (estimated_cost_cents >= 0 and actual_cost_cents >= 0 and charged_cents >= 0),
    unique (user_id, id),
    foreign key (user_id, campaign_id) references campaigns (user_id, id)
        on delete set null (campaign_id) deferrable initially deferred,
    foreign key (user_id, clip_id) references campaign_clips (user_id, id)
        on delete set null (clip_id) deferrable initially deferred
);
create unique index generation_jobs_external_id on generation_jobs (user_id, external_id)
    where external_id is not null;
create index generation_jobs_by_external_id on generation_jobs (external_id) where external_id is not null;
create index idx_generation_jobs_user_id on generation_jobs (user_id, created_at desc, id desc);
create index idx_generation_jobs_status on generation_jobs (status, created_at)
    where status in ('pending', 'submitted', 'in_progress');
create index generation_jobs_active_of_user on generation_jobs (user_id)
    where status in ('pending', 'submitted', 'in_progress');
create index idx_generation_jobs_fal_request_id on generation_jobs (fal_request_id);
create index idx_generation_jobs_campaign_clip on generation_jobs (campaign_id, clip_id);
create index generation_jobs_of_clip on generation_jobs (clip_id) where clip_id is not null;

create table submission_attempts (
    job_id uuid not null,
    number integer not null,
    user_id uuid not null,
    provider text not null,
    state text not null,
    request_id text,
    status_url text,
    response_url text,
    cancel_url text,
    webhook_expected boolean not null default false,
    queue_position integer,
    answer text,
    sent_at timestamptz not null default now(),
    answered_at timestamptz,
    ended_by_poll_at timestamptz,
    primary key (job_id, number),
    foreign key (user_id, job_id) references generation_jobs (user_id, id) on delete cascade
);
create unique index submission_attempts_by_request on submission_attempts (provider, request_id);
create index submission_attempts_open on submission_attempts (sent_at) where state in ('sending', 'uncertain');

create table job_events (
    id bigint generated always as identity primary key,
    user_id uuid not null,
    job_id uuid not null,
    at timestamptz not null default now(),
    status text not null,
    stage text not null,
    detail text not null,
    data jsonb not null default '{}',
    foreign key (user_id, job_id) references generation_jobs (user_id, id) on delete cascade
);
create index job_events_of_job on job_events (job_id, id);
create index job_events_of_user on job_events (user_id, id);

create table video_files (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null,
    job_id uuid not null,
    name text not null,
    position integer not null default 0,
    file_path text not null,
    file_url text,
    format text not null,
    file_size bigint not null default 0,
    sha256 text not null default '',
    duration_seconds double precision,
    width integer,
    height integer,
    aspect_ratio text,
    poster_name text,
    poster_path text,
    file_name text,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    unique (job_id, name),
    foreign key (user_id, job_id) references generation_jobs (user_id, id) on delete cascade
);
create index ix_video_files_user_id on video_files (user_id);

create unlogged table quotas (
    user_id uuid not null references users on delete cascade,
    name text not null,
    left_over double precision not null,
    granted integer not null,
    counted_at timestamptz not null default now(),
    primary key (user_id, name)
);

create table webhook_deliveries (
    id uuid primary key,
    provider text not null,
    job_id uuid,
    attempt integer,
    request_id text,
    verdict text not null,
    status_code integer not null,
    detail text not null,
    key_owner_id uuid,
    verified boolean not null,
    headers jsonb not null default '{}',
    body bytea not null,
    received_at timestamptz not null default now(),
    took_ms double precision not null,
    next_try_at timestamptz,
    handed_over_at timestamptz
);
create index webhook_deliveries_newest on webhook_deliveries (received_at desc) include (provider, verdict, took_ms);
create index webhook_deliveries_of_job on webhook_deliveries (job_id);
create index webhook_deliveries_inbox on webhook_deliveries (next_try_at) where next_try_at is not null;

create table provider_accounts (
    provider text not null,
    account text not null,
    parked_at timestamptz,
    reason text not null,
    probe_at timestamptz not null default now(),
    probes integer not null,
    probed_at timestamptz,
    primary key (provider, account)
);

-- Readers that wait for a generation's next event listen on this channel.
create function notify_generation_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('generation_changed', new.job_id::text);
    return null;
end
$$;
create trigger notify_generation_changed after insert on job_events
    for each row execute function notify_generation_changed();

-- Another backend writes a row's status and no more. What our readers need beside it is added here: the stage, the time
-- of the end, and the event. Our own changes move `stage_at`, so they pass the condition by.
create function complete_external_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if tg_when = 'BEFORE' and new.status in ('completed', 'failed', 'canceled') then
        new.stage := 'done';
        new.completed_at := coalesce(new.completed_at, now());
    elsif tg_when = 'BEFORE' and new.status <> 'pending' then
        new.stage := 'generating';
    end if;
    if tg_op = 'UPDATE' then
        new.stage_at := now();
    end if;
    if tg_op = 'UPDATE' or tg_when = 'AFTER' then
        insert into job_events (user_id, job_id, status, stage, detail)
        values (new.user_id, new.id, new.status, new.stage, 'Written by another backend');
    end if;
    return new;
end
$$;
create trigger complete_external_insert before insert on generation_jobs
    for each row when (new.origin = 'external') execute function complete_external_change();
create trigger tell_external_insert after insert on generation_jobs
    for each row when (new.origin = 'external') execute function complete_external_change();
create trigger complete_external_update before update of status on generation_jobs
    for each row when (new.origin = 'external' and new.stage_at = old.stage_at and new.status <> old.status)
    execute function complete_external_change();
"""

# What the operators' view reads: each window by its index alone, what is rare by a small index of its own.
STATISTICS = """
create index generation_jobs_ended on generation_jobs (completed_at)
    include (status, provider, model, error_code, created_at) where completed_at is not null;
create index generation_jobs_created on generation_jobs (created_at);
create index generation_jobs_action_required on generation_jobs (completed_at)
    where error_code in ('unknown_outcome', 'provider_unauthorized', 'archive_failed');
create index submission_attempts_uncertain on submission_attempts (sent_at) include (state) where answer is not null;
create index submission_attempts_rescued on submission_attempts (ended_by_poll_at)
    include (provider) where ended_by_poll_at is not null;
"""

LEDGER = """
create table credit_accounts (
    user_id uuid primary key references users on delete cascade,
    available_cents bigint not null default 0,
    held_cents bigint not null default 0,
    constraint nothing_is_overdrawn check (available_cents >= 0 and held_cents >= 0)
);
create function open_credit_account() returns trigger language plpgsql as $$
begin
    insert into credit_accounts (user_id) values (new.id);
    return null;
end
$$;
create trigger open_credit_account after insert on users
    for each row execute function open_credit_account();

-- An entry is a whole transaction, with a column for each account: what leaves one arrives in another.
create table credit_entries (
    id bigint generated always as identity primary key,
    user_id uuid not null references credit_accounts on delete cascade,
    job_id uuid,
    phase text not null,
    available_cents bigint not null default 0,
    held_cents bigint not null default 0,
    charged_cents bigint not null default 0,
    funding_cents bigint not null default 0,
    reference text,
    at timestamptz not null default now(),
    constraint entry_balances check (available_cents + held_cents + charged_cents + funding_cents = 0),
    constraint entry_fits_its_phase check (case phase
        when 'hold' then job_id is not null and held_cents >= 0 and charged_cents = 0 and funding_cents = 0
        when 'settle' then job_id is not null and charged_cents between 0 and -held_cents and funding_cents = 0
        when 'release' then job_id is not null and held_cents <= 0 and charged_cents = 0 and funding_cents = 0
        when 'top_up' then job_id is null and available_cents > 0 and held_cents = 0 and charged_cents = 0
        when 'adjustment' then held_cents = 0 and available_cents <> 0 and reference is not null
        else false
    end),
    foreign key (user_id, job_id) references generation_jobs (user_id, id),
    unique (job_id, phase),
    unique (user_id, reference)
);
create unique index credit_entries_one_end_of_a_hold on credit_entries (job_id) where phase in ('settle', 'release');
create index credit_entries_of_user on credit_entries (user_id, id);

-- The only way in which the API's role moves credits. It takes the price from the job's row and the user from the
-- transaction, so that nothing can be topped up, moved twice, or held on another's account. Called last in the
-- transaction that inserts the job: the lock on the account makes holds of one user wait for each other.
create function hold_credits(
    job uuid, out is_held boolean, out available bigint, out monthly_budget bigint, out spent_this_month bigint
) language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    owner uuid;
    price bigint;
begin
    select user_id, estimated_cost_cents into strict owner, price from generation_jobs
    where id = job and user_id = nullif(current_setting('app.user_id', true), '')::uuid;

    select available_cents into strict available from credit_accounts where user_id = owner for no key update;
    is_held := available >= price;

    select monthly_budget_cents into monthly_budget from users where id = owner;
    if monthly_budget is not null then
        select coalesce(sum(case when completed_at is null then estimated_cost_cents else charged_cents end), 0)
        into spent_this_month from generation_jobs
        where user_id = owner and id <> job
            and created_at >= date_trunc('month', now() at time zone 'utc') at time zone 'utc';
        is_held := is_held and spent_this_month + price <= monthly_budget;
    end if;

    if is_held then
        insert into credit_entries (user_id, job_id, phase, available_cents, held_cents)
        values (owner, job, 'hold', -price, price);
        update credit_accounts set available_cents = available_cents - price, held_cents = held_cents + price
        where user_id = owner;
    end if;
end
$$;
"""

# What the API's role asks about rows that it may not read. Each answers one question, and shows no row.
QUESTIONS = """
create function key_owner(key_hash bytea) returns table (user_id uuid, scope text)
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    select api_keys.user_id, api_keys.scope from api_keys join users on users.id = api_keys.user_id
    where api_keys.hash = key_hash and revoked_at is null and (expires_at is null or expires_at > now())
        and users.disabled_at is null
$$;

-- Whether the user of a verified token may come in; made at first sight, named by the id, without credits.
create function provision_user(wanted uuid) returns boolean
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    insert into users (id, name) values (wanted, wanted::text) on conflict do nothing;
    select disabled_at is null from users where id = wanted;
$$;

-- Events of one generation are written one after the other, under its row's lock: the user's of the transaction.
create function lock_generation(job uuid) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    select from generation_jobs
    where id = job and user_id = nullif(current_setting('app.user_id', true), '')::uuid for update
$$;

-- What the foreign keys would do, before the campaign or the clip is locked: a job that ends locks its row first and
-- its clip second, and so does a deletion that begins with this.
create function detach_from_jobs(deleted uuid) returns void
language sql security definer set search_path = pg_catalog, public, pg_temp as $$
    update generation_jobs
    set campaign_id = nullif(campaign_id, deleted), clip_id = null
    where user_id = nullif(current_setting('app.user_id', true), '')::uuid and (
        campaign_id = deleted or clip_id = deleted
        or clip_id in (select id from campaign_clips where campaign_id = deleted)
    )
$$;
"""

# For those who read tables: whole addresses, and the tables of the users' other documents as views.
READERS = """
-- Where our media is, and the key of its links, in the two blocks of HMAC (RFC 2104). The worker keeps it up to date;
-- no reader sees it.
create table media_link_key (
    only_row boolean primary key default true,
    origin text not null,
    inner_block bytea not null,
    outer_block bytea not null,
    constraint one_row check (only_row)
);

-- A link that plays without a header for one to two hours, signed as in reelay/domain/media_link.py. None for an owner
-- other than the reader: `app.user_id` names the reader to Reelay, a token's claims to Supabase; a service has neither.
create function media_link(owner uuid, address text) returns text
language sql stable security definer set search_path = pg_catalog, public, pg_temp as $$
    with reader as (
        select coalesce(
            nullif(current_setting('app.user_id', true), ''),
            nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub'
        )::uuid as id
    ), link as (
        select origin, inner_block, outer_block, (floor(extract(epoch from now()) / 3600)::bigint + 2) * 3600 as expires
        from media_link_key
    ), signed as (
        select origin, expires,
            sha256(outer_block || sha256(inner_block || convert_to(concat_ws(' ', owner, expires, address), 'UTF8')))
                as signature
        from link
    )
    select case
        when address not like '/%' then address
        when reader.id <> owner then null
        else coalesce(
            origin || address || '?expires=' || expires || '&signature='
                || translate(encode(decode(replace(owner::text, '-', ''), 'hex') || signature, 'base64'), '+/', '-_'),
            address
        )
    end
    from reader left join signed on true
$$;

-- A computed column: `select job.result_link from generation_jobs job`, and in PostgREST `select=*,result_link`.
create function result_link(job generation_jobs) returns text language sql stable as $$
    select media_link(job.user_id, job.result_url)
$$;

create view video_tasks with (security_invoker = true) as
select
    id,
    coalesce(external_id, id::text) as task_id,
    coalesce(input_params ->> 'prompt', '') as prompt,
    media_link(user_id, result_url) as video_url,
    case status when 'completed' then 'completed' when 'failed' then 'failed' when 'canceled' then 'failed'
        else 'processing' end as status,
    created_at,
    completed_at
from generation_jobs
where job_type in ('video_veo31', 'video');

-- Prisma's client names every column of its model, casts to the model's enums, and takes null and other types where the
-- model has neither for an error.
create type "VideoJobStatus" as enum ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED');
create type "StorageProvider" as enum ('AWS_S3');

create view video_generations with (security_invoker = true) as
select
    coalesce(external_id, id::text) as id,
    coalesce(input_params ->> 'prompt', '') as prompt,
    input_params ->> 'inputImageBase64' as "inputImageBase64",
    coalesce(input_params ->> 'aspectRatio', arguments ->> 'aspect_ratio', '16:9') as "aspectRatio",
    coalesce(
        substring(coalesce(
            input_params ->> 'numberOfVideos', input_params ->> 'numVideos', arguments ->> 'num_videos'
        ) from '^[0-9]{1,9}')::integer,
        1
    ) as "numberOfVideos",
    coalesce(
        substring(coalesce(
            input_params ->> 'durationSeconds', input_params ->> 'duration', arguments ->> 'duration'
        ) from '^[0-9]{1,9}')::integer,
        8
    ) as "durationSeconds",
    coalesce(input_params ->> 'personGeneration', 'ALLOW_ALL') as "personGeneration",
    (case status when 'in_progress' then 'PROCESSING' when 'completed' then 'COMPLETED' when 'failed' then 'FAILED'
        when 'canceled' then 'FAILED' else 'PENDING' end)::"VideoJobStatus" as status,
    error_message as error,
    progress_percent as progress,
    progress_message as message,
    coalesce(
        result_data -> 'metadata' ->> 'model_name',
        case provider when 'studio' then 'veo-2.0-generate-001' else model end
    ) as model,
    coalesce(
        result_data -> 'metadata' ->> 'model_version', case provider when 'studio' then '2.0' else '' end
    ) as "modelVersion",
    substring(result_data -> 'metadata' ->> 'processing_time' from '^[0-9]{1,9}[.]?[0-9]*')::double precision
        as "processingTime",
    substring(result_data -> 'metadata' ->> 'generation_time' from '^[0-9]{1,9}[.]?[0-9]*')::double precision
        as "generationTime",
    substring(result_data -> 'metadata' ->> 'download_time' from '^[0-9]{1,9}[.]?[0-9]*')::double precision
        as "downloadTime",
    user_id::text as "authorId",
    metadata ->> 'organizationId' as "organizationId",
    'AWS_S3'::"StorageProvider" as "storageProvider",
    null::text as "s3Bucket",
    created_at as "createdAt",
    stage_at as "updatedAt",
    completed_at as "completedAt"
from generation_jobs
where job_type in ('video_veo31', 'video');

-- Its files: `video_files` itself has our own columns.
create view video_generation_files with (security_invoker = true) as
select
    file.id::text as id,
    coalesce(file.file_name, file.name) as filename,
    file.file_path as "s3Key",
    media_link(file.user_id, coalesce(file.file_url, '/api/media/' || file.job_id || '/' || file.name)) as "fileUrl",
    file.file_path as "filePath",
    least(file.file_size, 2147483647)::integer as "fileSize",
    file.format,
    coalesce(round(file.duration_seconds), 0)::integer as "durationSeconds",
    coalesce(file.aspect_ratio, '') as "aspectRatio",
    coalesce(file.width, 0) as width,
    coalesce(file.height, 0) as height,
    null::text as "remoteUri",
    file.metadata,
    file.created_at as "createdAt",
    coalesce(job.external_id, job.id::text) as "generationId"
from video_files as file join generation_jobs as job on job.id = file.job_id
where job.job_type in ('video_veo31', 'video');
"""

# What the API's role may do. It changes no generation: after the insert only activities do.
APP_GRANTS = {
    "campaigns": "select, insert, update, delete",
    "campaign_clips": "select, insert, update, delete",
    "generation_jobs": "select, insert",
    "submission_attempts": "select",
    "job_events": "select, insert",
    "video_files": "select",
    "credit_accounts": "select",
    "credit_entries": "select",
    "quotas": "select, insert, update",
    "api_keys": None,  # a user's, too, but found by their hash, before it is known whose they are
}
APP_VIEWS = ("video_tasks", "video_generations", "video_generation_files")
APP_FUNCTIONS = (
    "complete_external_change",
    "media_link",
    "hold_credits",
    "key_owner",
    "provision_user",
    "lock_generation",
    "detach_from_jobs",
)


def upgrade() -> None:
    run_script(op.get_bind(), SCHEMA)
    run_script(op.get_bind(), STATISTICS)
    run_script(op.get_bind(), LEDGER)
    run_script(op.get_bind(), QUESTIONS)
    run_script(op.get_bind(), READERS)
    app_role = op.get_bind().dialect.identifier_preparer.quote(context.get_context().opts["app_role"])
    for table, privileges in APP_GRANTS.items():
        # FORCE: the owner, too, sees rows only through a policy. `db.migrate` adds the service role to it.
        # A setting that was set once reads as '' later, hence nullif.
        run_script(
            op.get_bind(),
            f"""
            alter table {table} enable row level security, force row level security;
            create policy service on {table} to current_user using (true);
            """,
        )
        if privileges:
            run_script(
                op.get_bind(),
                f"""
                create policy own_rows on {table} to {app_role}
                    using (user_id = nullif(current_setting('app.user_id', true), '')::uuid);
                grant {privileges} on {table} to {app_role};
                """,
            )
    for view in APP_VIEWS:
        run_script(op.get_bind(), f"grant select on {view} to {app_role}")
    for function in APP_FUNCTIONS:
        run_script(
            op.get_bind(),
            f"""
            revoke execute on function {function} from public;
            grant execute on function {function} to {app_role};
            """,
        )
