"""What operators do by the admin calls, and by the commands that use them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from typer.testing import CliRunner

from reelay.cli.main import app as command_line
from reelay.db.tables import Scope
from tests.eventually import PATIENCE
from tests.integration.api.shared import logged, problem, wrong_fields
from tests.running import Service, until


@pytest.fixture(scope="session")
async def operator(shared_patient_service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with await shared_patient_service.user("olga", scope=Scope.ADMIN, credits=0) as client:
        yield client


async def entries(operator: httpx.AsyncClient, **query: str | int) -> list[dict[str, Any]]:
    response = await operator.get("/api/admin/audit-log", params=query)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    found: list[dict[str, Any]] = response.json()["data"]
    return found


async def test_acts_by_the_admin_calls_have_their_entries(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    job = await patient_service.create()
    await patient_service.until(job, "completed")
    (delivery, *_) = await logged(patient_service, job_id=job)
    assert (await operator.post(f"/api/admin/webhooks/{delivery.id}/replay")).status_code == 200
    assert (await operator.post("/api/admin/accounts/studio/resume")).status_code == 200

    (replay,) = await entries(operator, subject=str(delivery.id))
    (resume, *_) = await entries(operator, subject="studio", actor="olga")

    key = operator.headers["authorization"].removeprefix("Bearer ")
    assert (replay["actor"], replay["credential"], replay["details"]) == ("olga", key[:11], {"jobId": job})
    assert [replay] == await entries(operator, subject=patient_service.user_name, action="delivery.replayed")
    assert (resume["action"], resume["userId"]) == ("accounts.resumed", None)
    assert resume["actorId"] == replay["actorId"]


async def test_the_audit_log_is_read_in_pages(operator: httpx.AsyncClient) -> None:
    for _ in range(3):
        assert (await operator.post("/api/admin/accounts/replicate/resume")).status_code == 200
    first = (await operator.get("/api/admin/audit-log?subject=replicate&limit=2")).json()
    rest = (await operator.get(f"/api/admin/audit-log?subject=replicate&limit=2&after={first['nextCursor']}")).json()

    assert (len(first["data"]), first["hasMore"]) == (2, True)
    moments = [entry["at"] for entry in first["data"] + rest["data"]]
    assert moments == sorted(moments, reverse=True)
    assert len(set(moments)) == len(moments) >= 3


async def test_a_replay_that_is_refused_has_no_entry(operator: httpx.AsyncClient) -> None:
    unknown = "00000000-0000-0000-0000-000000000000"
    problem(await operator.post(f"/api/admin/webhooks/{unknown}/replay"), 404, "NOT_FOUND")
    assert await entries(operator, subject=unknown) == []


async def test_what_is_asked_of_the_audit_log_is_checked(operator: httpx.AsyncClient) -> None:
    assert wrong_fields(await operator.get("/api/admin/audit-log?action=bogus")) == ["action"]
    assert wrong_fields(await operator.get("/api/admin/audit-log?who=olga")) == ["who"]


async def posted(operator: httpx.AsyncClient, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    response = await operator.post(f"/api/admin/{path}", json=body)
    assert response.is_success, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_a_user_is_made_limited_shut_out_and_let_in(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    name = f"hugo/{uuid4()}"
    made = await posted(operator, "users", {"name": name, "monthlyBudgetCents": 500})
    key = await posted(operator, "keys", {"user": name})
    user = f"users/{made['id']}"
    async with httpx.AsyncClient(
        base_url=patient_service.origin, headers={"authorization": f"Bearer {key['key']}"}, timeout=PATIENCE
    ) as hugo:
        assert (await hugo.get("/api/jobs")).status_code == 200
        disabled = await posted(operator, f"{user}/disable")
        problem(await hugo.get("/api/jobs"), 401, "UNAUTHENTICATED")
    enabled = await posted(operator, f"{user}/enable")
    limited = await posted(operator, f"{user}/budget", {"monthlyBudgetCents": None})
    await posted(operator, f"{user}/sign-out")

    assert (made["monthlyBudgetCents"], made["keys"], made["availableCents"]) == (500, 0, 0)
    assert (bool(disabled["disabledAt"]), enabled["disabledAt"], limited["monthlyBudgetCents"]) == (True, None, None)
    (listed,) = (await operator.get("/api/admin/users", params={"user": name})).json()["data"]
    assert listed == (await operator.get(f"/api/admin/users/{made['id']}")).json()
    assert (listed["keys"], listed["email"]) == (1, None)
    assert [each["action"] for each in reversed(await entries(operator, subject=name))] == [
        "user.created",
        "user.budget_set",
        "key.created",
        "user.disabled",
        "user.enabled",
        "user.budget_set",
        "user.signed_out",
    ]


async def test_users_are_listed_in_pages(operator: httpx.AsyncClient) -> None:
    names = [f"listed {uuid4()}" for _ in range(3)]
    for name in names:
        await posted(operator, "users", {"name": name})
    first = (await operator.get("/api/admin/users?limit=2")).json()
    second = (await operator.get(f"/api/admin/users?limit=2&after={first['nextCursor']}")).json()

    assert [user["name"] for user in first["data"] + second["data"]][:3] == names[::-1]
    assert first["hasMore"]


async def test_a_signed_out_users_links_stop_and_the_key_stays_good(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    job = await patient_service.create()
    link = (await patient_service.until(job, "completed"))["resultUrl"]
    me = (await operator.get("/api/admin/users", params={"user": patient_service.user_name})).json()["data"][0]
    async with httpx.AsyncClient(timeout=PATIENCE) as anybody:
        assert (await anybody.get(link)).status_code == 200
        await posted(operator, f"users/{me['id']}/sign-out")
        problem(await anybody.get(link), 401, "UNAUTHENTICATED")
    assert (await patient_service.client.get(f"/api/jobs/{job}")).status_code == 200


async def test_a_key_is_shown_once_listed_and_revoked(patient_service: Service, operator: httpx.AsyncClient) -> None:
    name = patient_service.user_name
    made = await posted(operator, "keys", {"user": name, "scope": "admin", "expiresInSeconds": 3600})
    keys = (await operator.get("/api/admin/keys", params={"user": name})).json()["data"]
    as_made = {"authorization": f"Bearer {made['key']}"}
    assert (await patient_service.client.get("/api/jobs", headers=as_made)).status_code == 200
    revoked = await posted(operator, f"keys/{made['prefix']}/revoke")
    refused = await patient_service.client.get("/api/jobs", headers=as_made)

    assert made["key"].startswith(made["prefix"])
    assert made["key"] not in json.dumps(keys)
    problem(refused, 401, "UNAUTHENTICATED")
    assert (keys[0]["prefix"], keys[0]["scope"], len(keys)) == (made["prefix"], "admin", 2)
    assert keys[0]["expiresAt"]
    assert revoked["revokedAt"]
    problem(await operator.post(f"/api/admin/keys/{made['prefix']}/revoke"), 404, "NOT_FOUND")
    assert (await operator.get("/api/admin/keys?user=nobody")).json()["data"] == []


async def test_credits_are_added_once_per_reference_and_corrected(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    name = f"rich {uuid4()}"
    problem(await operator.post(f"/api/admin/credits/{name}/add", json={"cents": 5}), 404, "NOT_FOUND")
    await posted(operator, "users", {"name": name})
    for _ in range(2):
        added = await posted(operator, f"credits/{name}/add", {"cents": 500, "reference": "payment 1"})
    corrected = await posted(operator, f"credits/{name}/adjust", {"cents": -50, "reason": "a mistake"})
    overdrawn = await operator.post(f"/api/admin/credits/{name}/adjust", json={"cents": -451, "reason": "too much"})

    assert (added["availableCents"], corrected["availableCents"]) == (500, 450)
    assert "less than 0" in problem(overdrawn, 422, "INVALID_PARAMS")["detail"]
    assert (await operator.get(f"/api/admin/credits/{name}")).json() == corrected
    acts = await entries(operator, subject=name, actor="olga")
    assert [entry["details"].get("cents") for entry in acts] == [-50, 500, None]
    for cents in (0, 1.5, "5"):
        assert wrong_fields(await operator.post(f"/api/admin/credits/{name}/add", json={"cents": cents})) == ["cents"]


async def test_a_user_that_there_is_is_not_made_again(operator: httpx.AsyncClient) -> None:
    problem(await operator.post("/api/admin/users", json={"name": "olga"}), 409, "CONFLICT")
    problem(await operator.get("/api/admin/users/nobody-knows"), 404, "NOT_FOUND")


async def test_providers_are_shown_with_what_is_known_of_their_accounts(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    shown = {each["provider"]: each for each in (await operator.get("/api/admin/providers")).json()["data"]}
    assert {name: each["isSetUp"] for name, each in shown.items()} == {"fal": True, "replicate": True, "studio": True}
    assert shown["replicate"] == {
        "provider": "replicate",
        "isSetUp": True,
        "isParked": False,
        "accounts": [],
        "slots": None,
        "isLearned": False,
        "jobsQueuedThere": 0,
        "jobsInSlots": shown["replicate"]["jobsInSlots"],  # other tests have jobs there
        "jobsWaiting": 0,
        "limits": [],
    }


def commands_of(admin: httpx.AsyncClient) -> Callable[..., Awaitable[str]]:
    """The command line of somebody who has an API's address and a key, and no database."""
    environment = {
        "REELAY_API_URL": str(admin.base_url).removesuffix("/"),
        "REELAY_ADMIN_KEY": admin.headers["authorization"].removeprefix("Bearer "),
        "DATABASE_SERVICE_URL": "",
        "DATABASE_ADMIN_URL": "",
    }

    async def done(*words: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, command_line, words, env=environment)
        assert result.exit_code == 0, result.output
        return result.stdout

    return done


async def test_the_commands_do_the_same_by_the_admin_calls(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    """What they do is done by the key's user."""
    done = commands_of(operator)
    name = f"remote/{uuid4()}"
    made = (await done("users", "create", name, "--budget", "900")).strip()
    key = (await done("keys", "create", name, "--expires", "30d")).strip()
    added = json.loads(await done("credits", "add", name, "500", "--json"))
    await done("credits", "adjust", name, "-50", "--reason", "a mistake")
    for verb in ("disable", "enable", "sign-out"):
        await done("users", verb, name)
    await done("users", "budget", name, "none")
    (listed,) = json.loads(await done("keys", "list", "--user", name, "--json"))
    await done("keys", "revoke", listed["prefix"])
    shown = json.loads(await done("users", "show", name, "--json"))
    acts = json.loads(await done("audit", "--subject", name, "--limit", "3", "--json"))
    assert "cents -50, reason a mistake" in await done("audit", "--subject", name)

    assert (shown["id"], shown["keys"], shown["availableCents"]) == (made, 0, 450)
    assert (added["availableCents"], key[:11], listed["user"]) == (500, listed["prefix"], name)
    assert [act["action"] for act in acts] == ["key.revoked", "user.budget_set", "user.signed_out"]
    assert {act["actor"] for act in acts} == {"olga"}
    assert UUID(made)
    assert json.loads(await done("providers", "waiting", "studio", "--json")) == []
    job = await patient_service.create("a lighthouse")
    await patient_service.until(job, "completed")
    for words in (("hold", job), ("release", job), ("move", job, "front")):
        with pytest.raises(AssertionError, match=f"job {job} does not wait for a slot"):
            await done("providers", *words)
    with pytest.raises(AssertionError, match="there is no user nobody-knows"):
        await done("credits", "add", "nobody-knows", "5")
    with pytest.raises(AssertionError, match="admin"):
        await commands_of(patient_service.client)("users", "list")


async def test_a_user_is_deleted_by_the_admin_calls(patient_service: Service, operator: httpx.AsyncClient) -> None:
    done = commands_of(operator)
    name = f"remote/{uuid4()}"
    user_id = (await done("users", "create", name)).strip()
    theirs = {"authorization": f"Bearer {(await done('keys', 'create', name)).strip()}"}
    with pytest.raises(AssertionError, match="Delete remote"):  # nobody says yes
        await done("users", "delete", name)
    assert (await patient_service.client.get("/api/credits", headers=theirs)).status_code == 200

    await done("users", "delete", name, "--yes")
    problem(await patient_service.client.get("/api/credits", headers=theirs), 401, "UNAUTHENTICATED")
    with pytest.raises(AssertionError, match="is being deleted"):
        await done("users", "enable", name)
    (act,) = json.loads(await done("audit", "--subject", user_id, "--limit", "1", "--json"))
    assert (act["action"], act["actor"]) == ("user.deleted", "olga")


async def test_an_administrator_opens_anybodys_job_and_plays_its_media(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    job = await patient_service.create()
    theirs = await patient_service.until(job, "completed")
    shown = (await operator.get(f"/api/admin/jobs/{job}")).json()
    on_the_page = (await operator.get(f"/api/jobs/{job}")).json()
    told = await operator.get(f"/api/jobs/{job}/events")
    trail = (await operator.get(f"/api/admin/jobs/{job}/history")).json()["data"]
    by_key = await operator.get(f"/api/media/{job}/video.mp4")
    async with httpx.AsyncClient(timeout=PATIENCE) as anybody:
        by_link = await anybody.get(on_the_page["resultUrl"])

    assert (shown["user"], shown["cause"]) == (patient_service.user_name, "Completed")
    assert [shown["id"], on_the_page["id"]] == [job, job]
    assert '"status":"completed"' in told.text
    assert [event["detail"] for event in trail] == await patient_service.trail(job)
    assert by_key.status_code == by_link.status_code == 200
    assert by_key.content == by_link.content
    assert on_the_page["resultUrl"] != theirs["resultUrl"]  # it ends with the administrator's key
    assert await entries(operator, subject=job) == []


async def test_links_to_somebody_elses_media_end_with_the_administrators_key(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    job = await patient_service.create()
    await patient_service.until(job, "completed")
    async with await patient_service.user("oscar", scope=Scope.ADMIN) as oscar:
        link = (await oscar.get(f"/api/jobs/{job}")).json()["resultUrl"]
        prefix = oscar.headers["authorization"].removeprefix("Bearer ")[:11]
    await posted(operator, f"keys/{prefix}/revoke")
    async with httpx.AsyncClient(timeout=PATIENCE) as anybody:
        problem(await anybody.get(link), 401, "UNAUTHENTICATED")


async def test_everybodys_jobs_are_listed_by_what_is_asked_for(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    done = await patient_service.create("a lighthouse")
    failed = await patient_service.create("a refused one [sim: fail=422]")
    await patient_service.until(done, "completed")
    assert await patient_service.closed_as(failed) == "FAILED"

    async def listed(**query: str | int) -> list[dict[str, Any]]:
        response = await operator.get("/api/admin/jobs", params=query)
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()["data"]
        return found

    mine = await listed(user=patient_service.user_name)
    assert [job["id"] for job in mine] == [failed, done]
    assert {job["user"] for job in mine} == {patient_service.user_name}
    assert mine[1]["files"][0]["name"] == "video.mp4"
    assert [job["id"] for job in await listed(user=patient_service.user_name, status="failed")] == [failed]
    assert {failed, done} <= {job["id"] for job in await listed(limit=100)}
    assert await listed(user="nobody-knows") == []
    assert [job["id"] for job in await listed(user=patient_service.user_name, search="REFUSED")] == [failed]
    assert await listed(user=patient_service.user_name, model="veo3.1") == []
    assert wrong_fields(await operator.get("/api/admin/jobs?colour=x")) == ["colour"]


async def test_an_administrator_acts_on_a_job_in_its_users_place(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    living = await patient_service.create("long [sim: latency=10m]")
    await patient_service.until_accepted(living)
    polled = await operator.post(f"/api/admin/jobs/{living}/poll")
    canceled = await operator.post(f"/api/admin/jobs/{living}/cancel")
    await patient_service.until(living, "canceled")
    before = (await patient_service.client.get("/api/credits")).json()["balanceCents"]
    retry = partial(operator.post, f"/api/admin/jobs/{living}/retry", headers={"idempotency-key": "once"})
    change = {"input": {"prompt": "longer [sim: latency=10m]"}}
    retried, again, unchanged = await retry(json=change), await retry(json=change), await retry()
    problem(unchanged, 422, "IDEMPOTENCY_KEY_REUSED")
    assert retried.status_code == again.status_code == 202, retried.text
    new = retried.json()["jobId"]
    assert (await patient_service.until_accepted(new))["input"] == {
        **(await patient_service.job(living))["input"],
        **change["input"],
    }
    assert (await operator.post(f"/api/jobs/{new}/cancel")).status_code == 202  # from the users' page
    await patient_service.until(new, "canceled")
    held = (await patient_service.client.get("/api/credits")).json()

    assert (polled.status_code, canceled.status_code) == (202, 202)
    assert again.json()["jobId"] == new
    assert (held["balanceCents"], held["heldCents"]) == (before, 0)
    acts = [(entry["action"], entry["actor"], entry["subject"]) for entry in await entries(operator, subject=living)]
    assert acts == [("job.retried", "olga", living)] * 3 + [
        ("job.canceled", "olga", living),
        ("job.polled", "olga", living),
    ]
    (last,) = await entries(operator, subject=new)
    assert (last["action"], last["userId"]) == ("job.canceled", (await entries(operator, subject=living))[0]["userId"])


async def test_what_users_do_to_their_own_jobs_is_no_operators_act(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    job = await patient_service.create("long [sim: latency=10m]")
    await patient_service.until_accepted(job)
    await patient_service.client.post(f"/api/jobs/{job}/cancel")
    await patient_service.until(job, "canceled")
    assert await entries(operator, subject=job) == []


async def test_a_job_that_there_is_not_is_nobodys(operator: httpx.AsyncClient) -> None:
    job = uuid4()
    for path in (f"/api/admin/jobs/{job}", f"/api/admin/jobs/{job}/history", f"/api/jobs/{job}"):
        problem(await operator.get(path), 404, "NOT_FOUND")
    for verb in ("cancel", "poll", "retry", "hold", "release"):
        problem(await operator.post(f"/api/admin/jobs/{job}/{verb}"), 404, "NOT_FOUND")


async def usage(client: httpx.AsyncClient, path: str, **query: Any) -> dict[str, Any]:
    response = await client.get(path, params=query)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_users_see_what_their_jobs_came_to(patient_service: Service) -> None:
    charged = [job["creditsDeducted"] for job in await video_voice_and_failure(patient_service)]
    client = patient_service.client

    (day,) = (await usage(client, "/api/usage"))["data"]
    kinds = (await usage(client, "/api/usage", by="kind"))["data"]
    models = (await usage(client, "/api/usage", by="model"))["data"]
    elsewhere = await usage(client, "/api/usage", **{"from": "2020-01-01", "to": "2020-12-31"})

    assert min(charged) > 0
    assert (day["jobs"], day["completed"], day["failed"], day["canceled"]) == (3, 2, 1, 0)
    assert (day["chargedCents"], day["model"], day["kind"]) == (sum(charged), None, None)
    assert {row["kind"]: (row["jobs"], row["chargedCents"]) for row in kinds} == {
        "video": (2, charged[0]),
        "voice": (1, charged[1]),
    }
    assert sum(row["chargedCents"] for row in models) == sum(charged)
    assert elsewhere == {"from": "2020-01-01", "to": "2020-12-31", "by": "day", "data": []}
    for query in ("from=2021-01-02&to=2021-01-01", "from=2020-01-01&to=2021-01-01"):
        assert wrong_fields(await client.get(f"/api/usage?{query}")) == ["from"]
    assert wrong_fields(await client.get("/api/usage?by=user")) == ["by"]
    for year in ("0001", "9999"):
        assert (await usage(client, "/api/usage", **{"from": f"{year}-01-01", "to": f"{year}-12-31"}))["data"] == []


async def video_voice_and_failure(service: Service) -> list[dict[str, Any]]:
    """The completed jobs of three: a video, and a voice. Another video failed."""
    video, failed = await service.create("a lighthouse"), await service.create("refused [sim: fail=422]")
    voice = str((await service.client.post("/api/generate/voice", json={"text": "Good morning."})).json()["jobId"])
    assert await service.closed_as(failed) == "FAILED"
    return [await service.until(job, "completed") for job in (video, voice)]


async def test_operators_see_cost_and_revenue_as_json_and_csv(
    patient_service: Service, operator: httpx.AsyncClient
) -> None:
    done = await video_voice_and_failure(patient_service)
    me = patient_service.user_name
    by_all = await usage(operator, "/api/admin/usage", user=me)
    by_day = (await usage(operator, "/api/admin/usage", user=me, by=["day", "kind"]))["data"]
    asked = {"user": me, "by": "user"}
    by_format = await operator.get("/api/admin/usage", params={**asked, "format": "csv"})
    by_accept = await operator.get("/api/admin/usage", params=asked, headers={"accept": "text/csv"})
    everybody = (await usage(operator, "/api/admin/usage", by="user"))["data"]

    cost, revenue = (sum(job[name] for job in done) for name in ("actualCostCents", "creditsDeducted"))
    assert by_all["by"] == ["user", "model", "month"]
    assert {row["user"] for row in by_all["data"]} == {me}
    assert {row["month"] for row in by_all["data"]} == {by_all["to"][:7]}
    assert sum(row["costCents"] for row in by_all["data"]) == cost
    assert sum(row["revenueCents"] for row in by_all["data"]) == revenue
    assert [(row["day"], row["kind"], row["jobs"]) for row in by_day] == [
        (by_all["to"], "video", 2),
        (by_all["to"], "voice", 1),
    ]
    assert by_format.headers["content-type"] == "text/csv; charset=utf-8"
    assert by_accept.text == by_format.text
    user_id = by_all["data"][0]["userId"]
    assert by_format.text.splitlines() == [
        "user,userId,jobs,completed,failed,canceled,costCents,revenueCents",
        f"{me},{user_id},3,2,1,0,{cost},{revenue}",
    ]
    assert [row["revenueCents"] for row in everybody if row["user"] == me] == [revenue]


async def test_no_name_is_a_formula_in_a_spreadsheet(patient_service: Service, operator: httpx.AsyncClient) -> None:
    name = f"=HYPERLINK({uuid4()})"
    async with await patient_service.user(name) as user:
        job = (await user.post("/api/generate/voice", json={"text": "Hello."})).json()["jobId"]
        await until(user, f"/api/jobs/{job}", "completed")
    told = await operator.get("/api/admin/usage", params={"user": name, "by": "user", "format": "csv"})
    assert told.text.splitlines()[1].startswith(f"'{name},")
