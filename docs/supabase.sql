-- Reelay's tables in a Supabase project: who is signed in there reads them, and adds jobs, by `supabase.from(...)`.
-- After `reelay migrate`, as the role of DATABASE_ADMIN_URL; safe to run again. docs/moving.md says more.

begin;

-- Reelay's users are the project's.
insert into public.users (id, name) select id, id::text from auth.users on conflict do nothing;

create or replace function public.follow_auth_users() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
begin
    if tg_op = 'DELETE' then
        delete from public.users where id = old.id;
        return old;
    end if;
    insert into public.users (id, name) values (new.id, new.id::text) on conflict do nothing;
    return new;
end
$$;
revoke execute on function public.follow_auth_users from public;

create or replace trigger reelay_follow_insert after insert on auth.users
    for each row execute function public.follow_auth_users();
create or replace trigger reelay_follow_delete after delete on auth.users
    for each row execute function public.follow_auth_users();

-- Supabase grants its roles all on what is made in `public`; here that is taken back, and given by the column.
revoke all on all tables in schema public from anon, authenticated;
grant usage on schema public to authenticated, service_role;
grant select on
    public.campaigns, public.campaign_clips, public.generation_jobs, public.video_files,
    public.video_tasks, public.video_generations, public.video_generation_files
to authenticated;
-- What is Reelay's own to write (`origin`, `charged_cents`, `timing`, ...) is not among these columns.
grant insert (
    id, user_id, campaign_id, clip_id, external_id, job_type, status, input_params, estimated_cost_cents, metadata
) on public.generation_jobs to authenticated;
grant select, insert, update, delete on
    public.campaigns, public.campaign_clips, public.generation_jobs, public.video_files
to service_role;
grant select on public.video_tasks, public.video_generations, public.video_generation_files to service_role;
grant execute on function public.media_link, public.result_link to authenticated, service_role;

do $$
declare
    owned text;
begin
    foreach owned in array array['campaigns', 'campaign_clips', 'generation_jobs', 'video_files'] loop
        execute format('drop policy if exists "Users can view own rows" on public.%I', owned);
        execute format(
            'create policy "Users can view own rows" on public.%I for select to authenticated'
            ' using ((select auth.uid()) = user_id)', owned);
        execute format('drop policy if exists "Service role full access" on public.%I', owned);
        execute format(
            'create policy "Service role full access" on public.%I to service_role using (true) with check (true)',
            owned);
    end loop;
end
$$;

-- A new job, and nothing that looks as if it had been submitted: what is submitted, a user does not decide in SQL.
drop policy if exists "Users can create own jobs" on public.generation_jobs;
create policy "Users can create own jobs" on public.generation_jobs for insert to authenticated
    with check ((select auth.uid()) = user_id and status = 'pending' and origin = 'external');

commit;
