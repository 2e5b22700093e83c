"""The commands that users of the service type, against a real one."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.devstack.ports import free_ports
from tests.reelay_process import ReelayProcess, start_reelay
from tests.running import Service
from tests.unit.media.samples import make_picture


@dataclass(frozen=True)
class Ended:
    code: int | None
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Terminal:
    """Somebody who types commands in a folder."""

    folder: Path
    environment: dict[str, str]

    async def start(self, *words: str) -> ReelayProcess:
        return await start_reelay(*words, folder=self.folder, environment=self.environment, stdout=PIPE, stderr=PIPE)

    async def type(self, *words: str) -> Ended:
        return await self.ended(await self.start(*words))

    async def ended(self, process: ReelayProcess) -> Ended:
        out, err = await process.communicate()
        return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture
def terminal(patient_service: Service, tmp_path: Path) -> Terminal:
    settings = patient_service.settings
    key = patient_service.client.headers["authorization"].removeprefix("Bearer ")
    return Terminal(
        tmp_path,
        {
            "PATH": os.environ["PATH"],
            "REELAY_API_URL": patient_service.origin,
            "REELAY_API_KEY": key,
            "ENVIRONMENT": "development",
            "APP_URL": patient_service.origin,
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "DATABASE_SERVICE_URL": settings.service_url,
            "TEMPORAL_ADDRESS": os.environ["TEMPORAL_ADDRESS"],
            "REELAY_TASK_QUEUE": settings.task_queue,
            "FAL_KEY": "first-key:secret-part",
            "FAL_KEY_NEW": "next-key:secret-part",
            "FAL_QUEUE_BASE": patient_service.servers.simulator,
            "FAL_WEBHOOK_SECRET": "webhook-secret",
            "API_KEY_PEPPER": "pepper-secret",
        },
    )


async def test_a_video_is_watched_and_stored(terminal: Terminal) -> None:
    ended = await terminal.type("generate", "video", "a lighthouse", "--quality", "fast", "--output", "out.mp4")

    assert ended.code == 0, ended.err
    assert "stored in out.mp4" in ended.out
    assert "completed  100%" in ended.out
    assert ended.err == ""
    assert (terminal.folder / "out.mp4").stat().st_size > 1000


async def test_a_picture_on_the_disk_is_a_first_frame(terminal: Terminal) -> None:
    make_picture(terminal.folder / "me.png")
    ended, missing = await asyncio.gather(
        terminal.type("generate", "it moves", "--first-frame", "./me.png", "--quality", "fast", "--json"),
        terminal.type("generate", "it moves", "--first-frame", "./other.png"),
    )
    assert ended.code == 0, ended.err
    assert ended.json_lines[-1]["status"] == "completed"
    assert (missing.code, "neither a file nor an address" in missing.err) == (2, True)

    frame = await terminal.type("generate", "first-frame", "a lighthouse", "--json")
    drawn = f"job:{frame.json_lines[-1]['id']}"
    moving = await terminal.type("generate", "it moves", "--first-frame", drawn, "--quality", "fast", "--json")
    assert (moving.code, moving.json_lines[-1]["status"]) == (0, "completed"), moving.err


async def test_pictures_on_the_disk_are_the_items_of_a_list(terminal: Terminal, patient_service: Service) -> None:
    pictures = [make_picture(terminal.folder / name).name for name in ("a.png", "b.png", "c.png")]
    edit = ("generate", "first-frame", "together", "--model", "nano-banana-2-edit", "--json")
    each, listed, missing, text = await asyncio.gather(
        terminal.type(*edit, *(word for name in pictures[:2] for word in ("--set", f"imageUrls=./{name}"))),
        terminal.type(*edit, "--set", f'imageUrls=["./{pictures[2]}"]'),
        terminal.type(*edit, "--set", "imageUrls=./none.png"),
        terminal.type("generate", "ambient", "rain", "--set", "prompt=/imagine rain", "--json"),
    )
    for ended, count in ((each, 2), (listed, 1)):
        assert ended.code == 0, ended.err
        job = ended.json_lines[-1]
        assert job["status"] == "completed"
        named = job["input"]["imageUrls"]
        assert len({*named}) == count
        assert all(name.startswith("asset:") for name in named)
    assert (missing.code, "neither a file nor an address" in missing.err) == (2, True)
    assert text.json_lines[-1]["input"]["prompt"] == "/imagine rain"


async def test_every_kind_has_its_command(terminal: Terminal, patient_service: Service) -> None:
    recording = f"{patient_service.servers.simulator}/sample.wav"
    kinds = await asyncio.gather(
        terminal.type("generate", "first-frame", "a boat", "--seed", "7", "--json"),
        terminal.type("generate", "voice", "hello", "--set", "cfg=0.6", "--json"),
        terminal.type("generate", "ambient", "rain", "--duration", "2", "--loop", "--json"),
        terminal.type("generate", "transcribe", recording, "--language", "en", "--json"),
    )

    assert [ended.code for ended in kinds] == [0] * len(kinds), [ended.err for ended in kinds]
    types = ["first_frame", "voice_chatterbox", "ambient_elevenlabs", "transcribe_whisper"]
    assert [ended.json_lines[-1]["type"] for ended in kinds] == types
    assert all(ended.json_lines[-1]["status"] == "completed" for ended in kinds)


async def test_exit_codes_say_what_happened(terminal: Terminal) -> None:
    (port,) = free_ports(1)
    nobody = Terminal(terminal.folder, {**terminal.environment, "REELAY_API_URL": f"http://127.0.0.1:{port}"})
    stranger = Terminal(terminal.folder, {**terminal.environment, "REELAY_API_KEY": "rk_unknown"})
    failed, usage, refused, unknown, unreachable = await asyncio.gather(
        terminal.type("generate", "fails [sim: fail=422]", "--json"),
        terminal.type("generate", "video"),
        terminal.type("generate", "video", "too long", "--duration", "99"),
        stranger.type("jobs"),
        nobody.type("cancel", "00000000-0000-0000-0000-000000000000"),
    )

    assert (failed.code, failed.json_lines[-1]["status"]) == (1, "failed")
    assert (usage.code, "Missing argument" in usage.err) == (2, True)
    assert (refused.code, "duration: must be one of" in refused.err) == (4, True)
    assert (unknown.code, "Unauthorized" in unknown.err) == (4, True)
    assert (unreachable.code, "does not answer" in unreachable.err) == (3, True)
    assert all("Traceback" not in ended.err for ended in (failed, usage, refused, unknown, unreachable))


async def test_interrupted_watch_leaves_the_job_running(terminal: Terminal, patient_service: Service) -> None:
    job_id = (await terminal.type("generate", "long [sim: latency=10m]", "--no-watch")).out.strip()
    watching = await terminal.start("watch", job_id)
    assert watching.stdout
    assert await watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    ended = await terminal.ended(watching)

    assert ended.code == 130
    assert f"reelay watch {job_id}" in ended.err
    assert "Traceback" not in ended.err
    assert (await patient_service.job(job_id))["status"] in ("pending", "submitted", "in_progress")
    canceled = await terminal.type("cancel", job_id, "--json")
    assert canceled.json["id"] == job_id
    ended = await terminal.type("watch", job_id, "--json")
    assert (ended.code, ended.json_lines[-1]["status"]) == (1, "canceled")


async def test_a_failed_job_is_retried_with_changes(terminal: Terminal, patient_service: Service) -> None:
    make_picture(terminal.folder / "me.png")
    failed = await terminal.type(
        "generate", "bad [sim: fail=422]", "--quality", "fast", "--duration", "4", "--seed", "7", "--json"
    )
    job_id = failed.json_lines[-1]["id"]
    again, changed, refused, wrong = await asyncio.gather(
        terminal.type("retry", job_id, "--no-watch", "--json", "--idempotency-key", "once"),
        terminal.type(
            *("retry", job_id, "--set", "prompt=good", "--set", "seed=null", "--set", "firstFrameUrl=me.png", "--json")
        ),
        terminal.type("retry", job_id, "--set", "colour=red"),
        terminal.type("retry", job_id, "--set", "colour"),
    )

    assert (again.code, (await patient_service.job(again.json["jobId"]))["input"]["seed"]) == (0, 7), again.err
    once_more = await terminal.type("retry", job_id, "--no-watch", "--idempotency-key", "once")
    assert once_more.out.strip() == again.json["jobId"]
    assert changed.code == 0, changed.err
    job = changed.json_lines[-1]
    assert (job["status"], job["input"].pop("firstFrameUrl").partition(":")[0]) == ("completed", "asset")
    assert job["input"] == {"prompt": "good", "quality": "fast", "duration": 4}
    assert (refused.code, "colour" in refused.err) == (4, True)
    assert (wrong.code, "is not name=value" in wrong.err) == (2, True)


async def test_jobs_are_listed_by_what_is_asked_for(terminal: Terminal, patient_service: Service) -> None:
    job_id = await patient_service.create("listed")
    await patient_service.until(job_id, "completed")
    table, videos, voices = await asyncio.gather(
        terminal.type("jobs", "--limit", "3"),
        terminal.type("jobs", "--type", "video", "--status", "completed", "--limit", "150", "--json"),
        terminal.type("jobs", "--type", "nonsense"),
    )

    assert job_id in table.out
    assert job_id in {job["id"] for job in videos.json}
    assert {job["status"] for job in videos.json} == {"completed"}
    assert voices.code == 4
    assert (await terminal.type("status", job_id, "--json")).json == await patient_service.job(job_id)


async def test_a_model_is_listed_once_and_told_in_detail(terminal: Terminal) -> None:
    table, veo, unknown, endpoints = await asyncio.gather(
        terminal.type("models"),
        terminal.type("models", "veo3.1"),
        terminal.type("models", "veo9"),
        terminal.type("models", "--json"),
    )

    names = [line.split()[0] for line in table.out.splitlines()[1:] if not line.startswith("    ")]
    assert len(names) == len(set(names))
    assert set(names) == {endpoint["name"] for endpoint in endpoints.json}
    inputs = [line.split()[0] for line in veo.out.splitlines()]
    assert {"prompt", "firstFrameUrl", "duration"} <= set(inputs)
    assert (unknown.code, "no model veo9" in unknown.err) == (2, True)


async def test_doctor_finds_nothing_wrong_and_shows_no_secret(terminal: Terminal) -> None:
    ended = await terminal.type("doctor", "--json")

    findings = {finding["part"]: finding for finding in ended.json}
    assert ended.code == 0, ended.out
    assert {finding["state"] for finding in findings.values()} == {"ok"}
    assert "not in use" in findings["FAL_KEY"]["found"]
    assert "in use, accepted" in findings["FAL_KEY_NEW"]["found"]
    assert not [value for value in ("secret", "rk_", "first-key", "next-key") if value in ended.out]


async def test_doctor_says_what_is_wrong_and_what_to_do(terminal: Terminal, patient_service: Service) -> None:
    (port,) = free_ports(1)
    away = f"127.0.0.1:{port}"
    broken = {
        "REELAY_API_URL": f"http://{away}",
        "TEMPORAL_ADDRESS": away,
        "DATABASE_SERVICE_URL": f"postgresql://service:hidden@{away}/reelay",
        "ARCHIVE_URL": "file:///proc/nowhere",
        "APP_URL": f"http://{away}",
        "FAL_QUEUE_BASE": f"http://{away}",
    }
    ill = Terminal(terminal.folder, {**terminal.environment, **broken})
    misconfigured = Terminal(terminal.folder, {**terminal.environment, "INTERACTIVE_BUDGET_CENTS": "much"})
    elsewhere = Terminal(terminal.folder, {**terminal.environment, "REELAY_TASK_QUEUE": "another"})
    ended, wrong, idle = await asyncio.gather(
        ill.type("doctor", "--json"), misconfigured.type("doctor"), elsewhere.type("doctor")
    )

    findings = {finding["part"]: finding for finding in ended.json}
    assert ended.code == 1
    parts = ("API", "Temporal", "Postgres", "archive", "FAL_KEY", "FAL_KEY_NEW", "webhooks")
    assert {findings[part]["state"] for part in parts} == {"wrong"}
    assert all(findings[part]["advice"] for part in parts)
    assert "hidden" not in ended.out
    assert (wrong.code, "interactive_budget_cents" in wrong.out.lower()) == (1, True)
    assert (idle.code, "nobody takes generations, transfers, webhooks of another" in idle.out) == (1, True)


async def test_what_is_due_can_be_deleted_now(terminal: Terminal) -> None:
    ended = await terminal.type("prune", "--json")
    assert ended.code == 0, ended.err
    assert {"jobs", "media", "events", "users", "erased", "not_erased"} == ended.json[0].keys()


async def test_completion_can_be_had(terminal: Terminal) -> None:
    environment = {
        **terminal.environment,
        "_REELAY_COMPLETE": "complete_bash",
        "COMP_WORDS": "reelay gen",
        "COMP_CWORD": "1",
    }
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("reelay")), env=environment, stdout=PIPE, cwd=terminal.folder
    )
    out, _ = await process.communicate()
    assert out.decode().split() == ["generate"]


async def test_a_table_becomes_a_batch_whose_media_lies_in_a_folder_and_is_bought_once(
    terminal: Terminal, patient_service: Service
) -> None:
    (terminal.folder / "prompts.csv").write_text(
        'prompt,seed,model\n"a boat, at night",7,\na lighthouse,,nano-banana\n', encoding="utf-8"
    )
    command = ("batch", "prompts.csv", "--model", "flux-dev", "--out", "media")
    first = await terminal.type(*command)
    assert first.code == 0, first.err
    assert "2 completed" in first.out
    stored = sorted((terminal.folder / "media").iterdir())
    assert [path.name[:5] for path in stored] == ["0001-", "0002-"]
    stored[0].unlink()

    again = await terminal.type(*command)
    assert (again.code, again.out) == (0, first.out)
    assert sorted((terminal.folder / "media").iterdir()) == stored
    jobs = (await patient_service.client.get("/api/jobs")).json()["data"]
    assert [(job["prompt"], job["input"].get("seed")) for job in jobs if job["prompt"] == "a boat, at night"] == [
        ("a boat, at night", 7)
    ]


@pytest.mark.parametrize(
    ("table", "complaint"),
    [("prompt\n", "no lines"), ("prompt,model\na boat\n", "line 2"), ("prompt\na boat\n", "no model")],
)
async def test_tables_that_cannot_be_read_say_where(terminal: Terminal, table: str, complaint: str) -> None:
    (terminal.folder / "prompts.csv").write_text(table, encoding="utf-8")
    ended = await terminal.type("batch", "prompts.csv")
    assert ended.code == 1
    assert complaint in ended.err


async def test_a_film_is_produced_approved_and_made_again(terminal: Terminal) -> None:
    words = ("--first-frame", "a harbour", "--voice", "Every morning.", "--ambient", "gulls", "--captions")
    waiting = await terminal.type("produce", "boats leave", *words, "--approve", "firstFrame")
    assert waiting.code == 0, waiting.err
    approve = waiting.out.splitlines()[-1].removeprefix("waits for: reelay ").split()
    pipeline = approve[2]
    assert (await terminal.type(*approve, "--note", "fine")).code == 0
    done = await terminal.type("pipelines", "watch", pipeline, "--out", "film.mp4")
    assert done.code == 0, done.err
    assert (terminal.folder / "film.mp4").stat().st_size > 1000

    plan = await terminal.type("pipelines", "rerun", pipeline, "voice.text=Every evening.", "--dry-run")
    assert [line.split()[:2] for line in plan.out.splitlines()[:-1]] == [
        ["firstFrame", "reused"], ["video", "reused"], ["voice", "waiting"], ["ambient", "reused"], ["film", "waiting"]
    ]  # fmt: skip
    again = await terminal.type("pipelines", "rerun", pipeline, "voice.text=Every evening.")
    assert again.code == 0, again.err
    listed = await terminal.type("pipelines", "list", "--json")
    assert [each["status"] for each in listed.json] == ["completed", "completed"]
    assert listed.json[0]["rerunOf"] == pipeline


async def test_the_films_of_a_campaign_are_priced_made_and_followed(
    terminal: Terminal, patient_service: Service
) -> None:
    campaign = (await patient_service.client.post("/api/campaigns", json={"name": "Sea"})).json()["id"]
    for title in ("Dawn", "Dusk"):
        clip = {"title": title, "metadata": {"parts": {"video": {"prompt": title, "model": "veo3.1-fast"}}}}
        await patient_service.client.post(f"/api/campaigns/{campaign}/clips", json=clip)
    priced = await terminal.type("produce", "--campaign", campaign, "--dry-run")
    assert [line.split()[0] for line in priced.out.splitlines()[:2]] == ["Dawn", "Dusk"]
    assert priced.out.splitlines()[-1].endswith("cents in all")
    made = await terminal.type("produce", "--campaign", campaign)
    assert made.code == 0, made.err
    assert made.out.startswith("2 films: ")
    assert sum(" completed, " in line for line in made.out.splitlines()) == 2
    both, neither = await asyncio.gather(
        terminal.type("produce", "boats", "--campaign", campaign), terminal.type("produce")
    )
    assert (both.code, neither.code) == (2, 2)


async def test_a_plan_in_a_file_is_priced_and_a_wrong_one_refused(terminal: Terminal) -> None:
    steps = {"frame": {"kind": "first-frame", "input": {"prompt": "a boat"}}}
    (terminal.folder / "plan.json").write_text(json.dumps({"steps": steps}))
    (terminal.folder / "wrong.json").write_text(json.dumps({"steps": {"film": {"kind": "mix", "video": "step:none"}}}))
    priced, refused, change = await asyncio.gather(
        terminal.type("pipelines", "create", "plan.json", "--dry-run"),
        terminal.type("pipelines", "create", "wrong.json"),
        terminal.type("pipelines", "rerun", "00000000-0000-0000-0000-000000000000", "voice"),
    )
    assert (priced.code, "cents in all" in priced.out) == (0, True)
    assert refused.code == 4
    assert (change.code, "STEP.INPUT=VALUE" in change.err) == (1, True)
