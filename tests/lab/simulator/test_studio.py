"""The simulated studio backend: what it takes, and what it pushes."""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from lab.simulator.studio_webhooks import PROGRESS, RETRY_WAITS
from tests.eventually import eventually
from tests.lab.simulator.servers import Receiver, RunningSimulator

SECRET = "simulated-webhook-secret"


async def post(simulator: RunningSimulator, prompt: str, secret: str = SECRET, **changes: Any) -> httpx.Response:
    body = {
        "version": 1,
        "job_id": str(uuid4()),
        "content_type": "video",
        "model": "studio/video",
        "input": {"prompt": prompt, "num_videos": 2},
        "attempt": 1,
        "webhook_url": None,
        **changes,
    }
    return await simulator.http.post("/studio/jobs", json=body, headers={"authorization": f"Bearer {secret}"})


async def pushed(receiver: Receiver, *, until: str) -> list[dict[str, Any]]:
    async def said() -> list[dict[str, Any]]:
        pushes = [json.loads(delivery.body) for delivery in receiver.received]
        return pushes if pushes and pushes[-1]["status"] == until else []

    return await eventually(said)


async def test_a_job_is_pushed_from_pending_to_its_videos(simulator: RunningSimulator, receiver: Receiver) -> None:
    accepted = await post(simulator, "a reef", webhook_url=receiver.url)
    said = await pushed(receiver, until="completed")

    assert accepted.status_code == 202
    assert [push["status"] for push in said] == ["pending", "processing", "generating", "downloading", "completed"]
    assert {push["job_id"] for push in said} == {accepted.json()["job_id"]}
    videos = said[-1]["data"]["videos"]
    assert [video["filename"] for video in videos] == ["output.mp4", "output_1.mp4"]
    for video in videos:
        assert len((await simulator.http.get(video["file_url"])).content) == video["file_size"]
    assert {delivery.headers["x-webhook-secret"] for delivery in receiver.received} == {SECRET}


async def test_a_failure_is_pushed_with_its_reason(simulator: RunningSimulator, receiver: Receiver) -> None:
    await post(simulator, "a reef [sim: fail=content_policy]", webhook_url=receiver.url)
    assert (await pushed(receiver, until="failed"))[-1]["error"]["code"] == "content_policy_violation"


async def test_a_failure_without_a_reason_tells_its_prompt(simulator: RunningSimulator, receiver: Receiver) -> None:
    await post(simulator, "a reef [sim: fail=500]", webhook_url=receiver.url)
    failed = (await pushed(receiver, until="failed"))[-1]
    assert "error" not in failed
    assert failed["data"]["metadata"] == {"prompt_used": "a reef [sim: fail=500]"}


async def test_a_forged_push_has_another_secret(simulator: RunningSimulator, receiver: Receiver) -> None:
    await post(simulator, "a reef [sim: webhook=forged]", webhook_url=receiver.url)
    await pushed(receiver, until="completed")
    assert SECRET not in {delivery.headers["x-webhook-secret"] for delivery in receiver.received}


@pytest.mark.parametrize(
    ("fault", "end"),
    [
        ("webhook=stale", ["pending", "completed"]),
        ("webhook=payload_error", ["cut off", "completed"]),
        ("result=never-media", ["completed without videos"]),
        ("webhook=no-media:100ms", ["completed without videos", "downloading", "completed"]),
    ],
)
async def test_what_goes_wrong_with_the_end_is_put_right(
    simulator: RunningSimulator, receiver: Receiver, fault: str, end: list[str]
) -> None:
    await post(simulator, f"a reef [sim: {fault}]", webhook_url=receiver.url)
    received = await receiver.wait_for(4 + len(end))
    assert [in_a_word(delivery.body) for delivery in received[4:]] == end


def in_a_word(body: bytes) -> str:
    try:
        push = json.loads(body)
    except ValueError:
        return "cut off"
    return f"{push['status']} without videos" if push.get("data", {}).get("videos") == [] else str(push["status"])


async def test_an_end_that_nobody_takes_is_repeated_for_an_hour(
    simulator: RunningSimulator, receiver: Receiver
) -> None:
    receiver.answers = [503] * 50
    job_id = (await post(simulator, "a reef [sim: latency=1ms]", webhook_url=receiver.url)).json()["job_id"]
    received = await receiver.wait_for(len(PROGRESS) + 1 + len(RETRY_WAITS))
    assert {json.loads(delivery.body)["job_id"] for delivery in received} == {job_id}
    assert timedelta(minutes=50) < sum(RETRY_WAITS, timedelta(0)) < timedelta(hours=1)


async def test_a_job_is_taken_once(simulator: RunningSimulator) -> None:
    job_id = str(uuid4())
    assert [(await post(simulator, "a reef", job_id=job_id)).status_code for _ in range(2)] == [202, 409]
    stats = (await simulator.http.get("/__sim/stats")).json()["jobs"]
    assert stats[job_id]["accepted"] == 1


@pytest.mark.parametrize(
    ("prompt", "changes", "status"),
    [
        ("a reef", {"secret": "another"}, 401),
        ("a reef", {"model": "studio/opera"}, 404),
        ("a reef [sim: submit=429]", {}, 429),
        ("a reef [sim: submit=500]", {}, 500),
        ("a reef [sim: nonsense=1]", {}, 400),
    ],
)
async def test_what_it_does_not_take(
    simulator: RunningSimulator, prompt: str, changes: dict[str, Any], status: int
) -> None:
    assert (await post(simulator, prompt, **changes)).status_code == status
