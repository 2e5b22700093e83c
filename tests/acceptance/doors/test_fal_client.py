"""fal's official Python client, unchanged but for two variables of its environment."""

import json
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from lab.simulator.fal_other_models import silence
from lab.simulator.samples import Medium
from tests.acceptance.doors.conftest import Door, code_of
from tests.running import running_service
from tests.servers import Servers
from tests.unit.media.samples import make_picture

VEO = "fal-ai/veo3.1/fast"
CALLS = """
import asyncio, json
import fal_client
from fal_client import Completed, FalClientHTTPError, InProgress

VEO = "fal-ai/veo3.1/fast"

async def talk():
    client = fal_client.AsyncClient()
    handle = await client.submit(VEO, {"prompt": "a lake [sim: latency=600ms]"})
    same = await client.get_handle(VEO, handle.request_id)
    events = [event async for event in handle.iter_events(with_logs=True, interval=0.02)]
    said = {
        "same_urls": (same.status_url, same.response_url, same.cancel_url)
        == (handle.status_url, handle.response_url, handle.cancel_url),
        "last": type(events[-1]).__name__,
        "metrics": list(events[-1].metrics),
        "logs": events[-1].logs,
        "result": await handle.get(),
        "again": await client.result(VEO, handle.request_id),
        "status": type(await client.status(VEO, handle.request_id)).__name__,
        "request_id": handle.request_id,
        "run": await client.run("fal-ai/nano-banana", {"prompt": "a lake"}),
        "subscribed": await client.subscribe("fal-ai/nano-banana", {"prompt": "a lake"}, priority="low"),
        "unknown": await client.subscribe("fal-ai/recraft/v3/text-to-image", {"prompt": "a lake"}),
        "streamed": [event async for event in client.stream("fal-ai/nano-banana", {"prompt": "a lake"})],
    }
    canceled = await client.submit(VEO, {"prompt": "[sim: latency=10m]"}, start_timeout=60)
    await canceled.cancel()
    events = [event async for event in canceled.iter_events(interval=0.02)]
    said["canceled"] = events[-1].error_type
    for wrong in ({"prompt": "a lake", "duration": 9}, {"prompt": "[sim: fail=content_policy]"}):
        try:
            await client.subscribe(VEO, wrong)
        except FalClientHTTPError as error:
            said.setdefault("errors", []).append([error.status_code, error.message[0]["type"], error.message[0]["loc"]])
    try:
        await client.submit("fal-ai/no-such-thing", {})
    except FalClientHTTPError as error:
        said["no_such_endpoint"] = [error.status_code, error.message]
    return said

def talk_in_sync():
    updates = []
    result = fal_client.subscribe(
        "fal-ai/nano-banana", {"prompt": "a lake"}, with_logs=True, on_queue_update=lambda each: updates.append(each)
    )
    return {"sync": result, "sync_last": type(updates[-1]).__name__}

said = asyncio.run(talk())
print(json.dumps(said | talk_in_sync()))
"""


def own_files(door: Door, files: Sequence[dict[str, Any]]) -> bool:
    return bool(files) and all(file["url"].startswith(f"{door.front.origin}/api/media/") for file in files)


async def test_every_call_of_the_official_client_works_unchanged(door: Door) -> None:
    said = json.loads(await door.run_python(CALLS))
    assert said["same_urls"]
    assert (said["last"], said["metrics"], said["status"]) == ("Completed", ["inference_time"], "Completed")
    assert said["result"]["video"]["content_type"] == "video/mp4"
    assert own_files(door, [said["result"]["video"]])
    assert said["again"]["video"].keys() == said["result"]["video"].keys()
    assert own_files(door, said["run"]["images"])
    assert own_files(door, said["subscribed"]["images"])
    assert own_files(door, said["unknown"]["images"])
    assert own_files(door, said["streamed"][0]["images"])
    assert own_files(door, said["sync"]["images"])
    assert said["canceled"] == "client_cancelled"
    assert said["errors"][0] == [422, "value_error", ["body", "duration"]]
    assert said["errors"][1] == [422, "content_policy_violation", ["body"]]
    assert said["no_such_endpoint"][0] == 404
    job = await door.service.job(said["request_id"])
    assert (job["status"], job["model"]) == ("completed", "veo3.1-fast")
    async with httpx.AsyncClient(verify=False) as anybody:
        media = await anybody.get(said["result"]["video"]["url"])
    assert (media.status_code, media.headers["content-type"]) == (200, "video/mp4")


SUBMIT = """
import fal_client, fal_client.client
fal_client.client.MAX_DELAY = 0.05  # seconds between two of its POSTs, else a minute in all
print(fal_client.submit("fal-ai/veo3.1/fast", {"prompt": "PROMPT"}).request_id)
"""


@pytest.mark.fault("P17")
async def test_ten_posts_of_a_submission_whose_answers_are_cut_off_are_one_job_and_one_purchase(door: Door) -> None:
    program = SUBMIT.replace("PROMPT", f"a lake for {door.key}")
    door.front.answers_to_lose = 9
    first = (await door.run_python(program)).strip()
    posts = [request for request in door.front.requests if request.startswith("POST")]
    assert len(posts) == 10
    await door.service.until(first, "completed")
    jobs = (await door.service.client.get("/api/jobs")).json()["data"]
    assert [job["id"] for job in jobs] == [first]
    assert (await door.service.simulated(first))["accepted"] == 1
    # The answer was delivered: the same once more is wanted.
    second = (await door.run_python(program)).strip()
    assert second != first


@pytest.mark.fault("P17")
async def test_two_submissions_alike_whose_answers_are_lost_stay_two_jobs(door: Door) -> None:
    wanted = """
import concurrent.futures, fal_client, fal_client.client
fal_client.client.MAX_DELAY = 0.05
def submit(_):
    return fal_client.SyncClient().submit("fal-ai/nano-banana", {"prompt": "a lake"}).request_id
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    print(*pool.map(submit, range(2)))
"""
    door.front.answers_to_lose = 4
    ids = (await door.run_python(wanted)).split()
    jobs = (await door.service.client.get("/api/jobs")).json()["data"]
    assert len({*ids}) == 2
    assert {job["id"] for job in jobs} == {*ids}


async def test_an_idempotency_key_makes_it_the_same_job_for_ever_and_takes_no_other_content(door: Door) -> None:
    program = """
import fal_client
from fal_client import FalClientHTTPError
def submit(prompt):
    return fal_client.submit("fal-ai/nano-banana", {"prompt": prompt}, headers={"Idempotency-Key": "one"}).request_id
print(submit("a lake"), submit("a lake"))
try:
    submit("a sea")
except FalClientHTTPError as error:
    print(error.status_code, error.error_type)
"""
    first, second, status, error_type = (await door.run_python(program)).split()
    assert first == second
    assert (status, error_type) == ("422", "idempotency_key_reused")


async def test_without_credits_it_is_refused_once(door: Door) -> None:
    program = """
import fal_client
from fal_client import FalClientHTTPError
try:
    fal_client.submit("fal-ai/veo3.1/fast", {"prompt": "a lake"})
except FalClientHTTPError as error:
    print(error.status_code, error.message)
"""
    async with await door.service.user("poor", credits=0) as poor:
        key = poor.headers["authorization"].removeprefix("Bearer ")
        said = await door.run_python(program, {"FAL_KEY": key})
    assert said.startswith("402 ")
    assert len(door.front.requests) == 1


async def test_what_costs_more_than_anybody_has_agreed_to_says_so_and_takes_a_limit(door: Door) -> None:
    program = """
import fal_client
from fal_client import FalClientHTTPError
SEEDANCE = "bytedance/seedance-2.0/text-to-video"
arguments = {"prompt": "a lake", "duration": "10", "resolution": "1080p"}
try:
    fal_client.submit(SEEDANCE, arguments)
except FalClientHTTPError as error:
    print(error.status_code, "X-Reelay-Max-Cost-Cents" in error.message)
print(fal_client.submit(SEEDANCE, arguments, headers={"X-Reelay-Max-Cost-Cents": "2000"}).request_id)
"""
    status, is_named, request_id = (await door.run_python(program)).split()
    assert (status, is_named) == ("402", "True")
    assert (await door.service.job(request_id))["estimatedCostCents"] > 500


UPLOADS = """
import asyncio, json, os, sys
import fal_client
import fal_client.client as addresses

addresses.REST_URL, addresses.CDN_URL = os.environ["FAL_REST_URL"], os.environ["FAL_CDN_URL"]
addresses.MULTIPART_THRESHOLD = addresses.MULTIPART_CHUNK_SIZE = 100_000
small, large = sys.argv[1:]

async def upload():
    client = fal_client.AsyncClient()
    return [await client.upload_file(small), await client.upload_file(large)]

addressed = [fal_client.upload_file(small), fal_client.upload_file(large), *asyncio.run(upload())]
moved = fal_client.subscribe("fal-ai/veo3.1/fast/image-to-video", {"prompt": "it moves", "image_url": addressed[0]})
print(json.dumps([addressed, moved["video"]["url"]]))
"""


async def test_uploads_with_two_addresses_overwritten_small_and_in_parts(door: Door, tmp_path: Path) -> None:
    small, large = tmp_path / "a lake.png", tmp_path / "sound.wav"
    make_picture(small)
    with wave.open(str(large), "wb") as sound:
        sound.setparams((1, 1, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(8000 * 40))
    host = door.front.origin
    hosts = {"FAL_REST_URL": f"{host}/fal/rest", "FAL_CDN_URL": f"{host}/fal/cdn"}
    addresses, video = json.loads(await door.run_python(UPLOADS, hosts, str(small), str(large)))
    assert video.startswith(f"{host}/api/media/")
    async with httpx.AsyncClient(verify=False, follow_redirects=True) as anybody:
        for address, file in zip(addresses, (small, large) * 2, strict=True):
            assert (await anybody.get(address)).content == file.read_bytes()
            forged = address.replace("/fal/cdn/files/", "/fal/cdn/files/9")
            assert (await anybody.get(forged)).status_code == 401
        assert (await anybody.post(f"{host}/fal/cdn/files/upload", content=b"x")).status_code == 401
    assets = (await door.service.client.get("/api/assets")).json()["data"]
    assert sorted(asset["contentType"] for asset in assets) == ["audio/wav"] * 2 + ["image/png"] * 2


async def test_inputs_that_only_fals_own_document_names_are_passed_on(door: Door) -> None:
    service, banana = door.service, "/fal/queue/fal-ai/nano-banana"
    given = {"prompt": "a lake [sim: fail=422]", "limit_generations": True}
    submitted = await service.client.post(banana, json=given)
    assert submitted.status_code == 200, submitted.text
    failed = submitted.json()["request_id"]
    await service.until(failed, "failed")
    again = (await service.client.post(f"/api/jobs/{failed}/retry")).json()["jobId"]
    for job in (failed, again):
        request = await service.servers.simulated_request((await service.until(job, "failed"))["falRequestId"])
        assert request["input"]["limit_generations"] is True
    wrong = await service.client.post(
        banana, json={"prompt": "a lake", "limit_generations": "perhaps", "colour": "red"}
    )
    assert (wrong.status_code, [each["loc"] for each in wrong.json()["detail"]]) == (
        422,
        [["body", "colour"], ["body", "limit_generations"]],
    )


async def test_a_file_inside_the_answer_gets_an_address_like_any_other(door: Door) -> None:
    service = door.service
    sample = f"{service.servers.simulator}/files/samples/{Medium.AUDIO.file_name}"
    answers = {}
    for endpoint, given in {
        "fal-ai/f5-tts": {"gen_text": "Hello.", "ref_audio_url": sample},
        "fal-ai/recraft/v3/text-to-image": {"prompt": "a lake", "sync_mode": True, "num_images": 2},
    }.items():
        submitted = (await service.client.post(f"/fal/queue/{endpoint}", json=given)).json()
        await service.until(submitted["request_id"], "completed")
        answers[endpoint] = (await service.client.get(urlsplit(submitted["response_url"]).path)).json()
    spoken, drawn = answers.values()
    addresses = [spoken["audio"], *(each["url"] for each in drawn["images"])]
    assert len(set(addresses)) == 3
    for address in addresses:
        assert address.startswith(f"{door.front.origin}/api/media/")
    async with httpx.AsyncClient(verify=False) as anybody:
        assert (await anybody.get(spoken["audio"])).content == silence()


async def test_a_poller_is_answered_when_there_is_something_new(door: Door) -> None:
    program = """
import fal_client
fal_client.subscribe("fal-ai/veo3.1/fast", {"prompt": "a lake [sim: latency=3s]"}, on_queue_update=print)
"""
    said = await door.run_python(program)
    # In three seconds, thirty polls of the client's own pace.
    assert 2 <= len(said.splitlines()) <= 12


async def test_a_status_asks_no_engine(servers: Servers) -> None:
    async with running_service(servers, worker=False) as service:
        headers = {"authorization": service.client.headers["authorization"].replace("Bearer", "Key")}
        async with httpx.AsyncClient(base_url=service.origin, headers=headers) as client:
            submitted = (await client.post(f"/fal/queue/{VEO}", json={"prompt": "a lake"})).json()
            status = await client.get(submitted["status_url"])
            result = await client.get(submitted["response_url"])
    assert (status.status_code, status.json()["status"], status.json()["queue_position"]) == (202, "IN_QUEUE", 0)
    assert (result.status_code, result.json()) == (400, {"detail": "Request is still in progress"})


async def test_behind_a_proxy_that_hides_broken_connections_submissions_alike_are_one_until_its_id_is_used(
    servers: Servers,
) -> None:
    async with running_service(servers, worker=False, fal_door_merge=600) as service:
        headers = {"authorization": service.client.headers["authorization"].replace("Bearer", "Key")}
        async with httpx.AsyncClient(base_url=service.origin, headers=headers) as client:

            async def submit(prompt: str) -> dict[str, Any]:
                answer: dict[str, Any] = (await client.post(f"/fal/queue/{VEO}", json={"prompt": prompt})).json()
                return answer

            first, again, other = await submit("a lake"), await submit("a lake"), await submit("a sea")
            assert first["request_id"] == again["request_id"] != other["request_id"]
            await client.get(first["status_url"])
            assert (await submit("a lake"))["request_id"] != first["request_id"]


@pytest.mark.parametrize("path", ["fal-ai/veo3.1/requests", "fal-ai/veo3.1/fast/requests"])
async def test_requests_are_found_at_their_app(door: Door, path: str) -> None:
    job = await door.service.create()
    found = await door.service.client.get(f"/fal/queue/{path}/{job}/status")
    elsewhere = await door.service.client.get(f"/fal/queue/fal-ai/flux/requests/{job}/status")
    assert (found.status_code in (200, 202), elsewhere.status_code) == (True, 404)
    assert found.headers["x-fal-request-id"] == job


async def test_the_guides_code_runs(door: Door) -> None:
    said = (await door.run_python(code_of("fal-client.md", "python"))).split()
    assert said[-2] == "Completed"
    assert said[-1].startswith(f"{door.front.origin}/api/media/")
