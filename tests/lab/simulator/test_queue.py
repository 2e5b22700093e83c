"""The queue's calls, as a client sees them on the wire."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from lab.simulator.fal_catalogue import MODELS
from lab.simulator.settings import SimulatorSettings
from tests.lab.simulator.servers import VEO, RunningSimulator, running

KLING = "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"


async def test_a_submission_is_answered_with_all_that_fal_says(simulator: RunningSimulator) -> None:
    response = await simulator.post("a lake", endpoint=KLING)
    accepted = response.json()
    url = f"{simulator.url}/fal-ai/kling-video/requests/{accepted['request_id']}"
    assert response.status_code == 200
    assert UUID(accepted["request_id"]).version == 7
    assert response.headers["x-fal-request-id"] == accepted["request_id"]
    assert accepted == {
        "status": "IN_QUEUE",
        "request_id": accepted["request_id"],
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
        "logs": None,
        "metrics": {},
        "queue_position": 0,
        "user_queue_position": 0,
        "user_queued_count": 1,
    }


async def test_status_goes_from_queue_to_completed_with_growing_logs(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("[sim: latency=600ms]")
    codes: list[int] = []
    words: list[str] = []
    lines: list[int] = []
    while not words or words[-1] != "COMPLETED":
        response = await simulator.http.get(accepted["status_url"], params={"logs": "1"})
        codes.append(response.status_code)
        words.append(response.json()["status"])
        lines.append(len(response.json()["logs"]))
        await asyncio.sleep(0.03)
    assert list(dict.fromkeys(words)) == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    assert codes == [200 if word == "COMPLETED" else 202 for word in words]
    assert lines == sorted(lines)
    assert lines[0] == 0
    assert lines[-1] == 5
    assert response.json()["metrics"] == {"inference_time": 0.45}
    assert response.json()["cancel_url"] is None


@pytest.mark.parametrize(("spelling", "given"), [("1", True), ("true", True), ("0", False), ("false", False)])
async def test_logs_are_given_when_asked_for(simulator: RunningSimulator, spelling: str, given: bool) -> None:
    accepted = await simulator.submit("a lake")
    await simulator.ended(accepted)
    response = await simulator.http.get(f"{accepted['status_url']}/", params={"logs": spelling})
    assert isinstance(response.json()["logs"], list) is given


async def test_the_full_endpoint_has_no_status(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("a lake")
    response = await simulator.http.get(f"/{VEO}/requests/{accepted['request_id']}/status")
    assert response.status_code == 405


@pytest.mark.parametrize("key", [None, "Bearer id:secret", "Key"])
async def test_a_call_without_a_key_is_refused(simulator: RunningSimulator, key: str | None) -> None:
    simulator.http.headers.pop("authorization")
    response = await simulator.http.post(
        f"/{VEO}", json={"prompt": "a lake"}, headers={} if key is None else {"authorization": key}
    )
    assert (response.status_code, response.json()) == (401, {"detail": "Invalid key credentials"})


async def test_only_accepted_keys_are_valid(settings: SimulatorSettings) -> None:
    async with running(settings.model_copy(update={"accepted_keys": frozenset({"a:b"})})) as simulator:
        assert (await simulator.post("a lake")).status_code == 401


async def test_an_unknown_endpoint_or_request_is_not_found(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("a lake")
    assert (await simulator.post("a lake", endpoint="fal-ai/veo9")).status_code == 404
    elsewhere = accepted["response_url"].replace("veo3.1", "whisper")
    assert (await simulator.http.get(elsewhere)).json() == {"status": "NOT_FOUND"}


async def test_a_fault_that_does_not_exist_is_refused(simulator: RunningSimulator) -> None:
    response = await simulator.post("[sim: submit=dorp]")
    assert response.status_code == 400
    assert "submit=dorp" in response.json()["detail"]
    assert (await simulator.stats())["totals"]["accepted"] == 0


async def test_a_result_asked_for_too_early_is_refused(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("a lake")
    response = await simulator.http.get(accepted["response_url"])
    assert (response.status_code, response.json()) == (400, {"detail": "Request is still in progress"})


async def test_a_result_carries_what_was_billed(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("a lake", duration="6s")
    response = await simulator.result(accepted)
    assert response.headers["x-fal-billable-units"] == "6"
    assert response.headers["x-fal-request-id"] == accepted["request_id"]
    assert (await simulator.seen(accepted["request_id"]))["billed"]


async def test_a_result_that_never_holds_media_is_a_success_all_the_same(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("a lake [sim: result=never-media]")
    response = await simulator.result(accepted)
    assert response.status_code == 200
    assert "http" not in response.text
    assert (await simulator.seen(accepted["request_id"]))["billed"]


async def test_a_gateway_answers_the_first_calls_of_a_result(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("a lake [sim: result=504:2]")
    await simulator.ended(accepted)
    answers = [await simulator.http.get(accepted["response_url"]) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [504, 504, 200]
    assert "x-fal-request-id" not in answers[0].headers


SHAPES: dict[str, set[str]] = {
    "bytedance/seedance-2.0/text-to-video": {"video", "seed"},
    "bytedance/seedance-2.0/image-to-video": {"video", "seed"},
    "fal-ai/cogvideox-5b": {"video", "timings", "seed", "prompt"},
    "fal-ai/cogvideox-5b/image-to-video": {"video", "timings", "seed", "prompt"},
    "fal-ai/nano-banana": {"images", "description"},
    "fal-ai/flux/dev": {"images", "timings", "seed", "has_nsfw_concepts", "prompt"},
    "fal-ai/chatterbox/text-to-speech": {"audio"},
    "fal-ai/elevenlabs/sound-effects/v2": {"audio"},
    "fal-ai/whisper": {"text", "chunks", "inferred_languages", "diarization_segments"},
    "fal-ai/wizper": {"text", "chunks", "languages"},
    "fal-ai/ltx-video": {"video", "seed"},
    "fal-ai/birefnet/v2/video": {"video", "mask_video"},
    "fal-ai/recraft/v3/text-to-image": {"images"},
    "fal-ai/luma-photon": {"images"},
    "fal-ai/stable-cascade": {"images"},
    "fal-ai/f5-tts": {"audio"},
    "fal-ai/hunyuan3d-v21": {"model_glb", "model_glb_pbr", "model_mesh", "thumbnail", "seed"},
    "fal-ai/demucs": {"stems"},
    "fal-ai/flux-lora-fast-training": {"diffusers_lora_file", "config_file"},
    "fal-ai/moondream2/visual-query": {"output", "reasoning"},
    "fal-ai/any-llm": {"output", "reasoning"},
}
SOURCE_NAMES = (
    *("image", "start_image", "input_image", "first_frame", "last_frame"),
    *("images_data", "audio", "ref_audio", "video"),
)
SOURCES = tuple(f"{name}_url" for name in SOURCE_NAMES)


@pytest.mark.parametrize("endpoint", MODELS)
async def test_each_model_answers_in_its_own_shape(simulator: RunningSimulator, endpoint: str) -> None:
    sources = dict.fromkeys(SOURCES, "https://example.com/source")
    texts = dict.fromkeys(("text", "gen_text", "lyrics_prompt"), "hello")
    accepted = await simulator.submit(
        "[sim: latency=1ms]", endpoint=endpoint, image_urls=["https://example.com/source"], **texts, **sources
    )
    response = await simulator.result(accepted)
    assert response.status_code == 200, response.text
    assert set(response.json()) == SHAPES.get(endpoint, set(MODELS[endpoint].output.model_fields))


@pytest.mark.parametrize(
    ("endpoint", "arguments", "field"),
    [
        (VEO, {}, "prompt"),
        (VEO, {"prompt": "a lake", "duration": 8}, "duration"),
        (VEO, {"prompt": "a lake", "duration": "5"}, "duration"),
        (VEO, {"prompt": "a lake", "aspect_ratio": "1:1"}, "aspect_ratio"),
        (f"{VEO}/image-to-video", {"prompt": "a lake"}, "image_url"),
        (KLING, {"prompt": "a lake", "duration": "8s"}, "duration"),
        ("fal-ai/chatterbox/text-to-speech", {"prompt": "hello"}, "text"),
        ("fal-ai/whisper", {}, "audio_url"),
        ("fal-ai/veo3.1/first-last-frame-to-video", {"prompt": "a lake"}, None),
    ],
)
async def test_a_bad_input_is_accepted_and_fails_when_it_runs(
    simulator: RunningSimulator, endpoint: str, arguments: dict[str, Any], field: str | None
) -> None:
    response = await simulator.http.post(f"/{endpoint}", json=arguments)
    assert response.status_code == 200
    ended = await simulator.ended(response.json())
    result = await simulator.result(response.json())
    assert ended["error_type"] == result.json()["detail"][0]["type"]
    assert result.status_code == 422
    assert result.json()["detail"][0]["loc"] == ["body", *filter(None, [field])]
    assert not (await simulator.seen(response.json()["request_id"]))["billed"]


@pytest.mark.parametrize(
    ("fault", "status_code", "error_type", "billed"),
    [
        ("422", 422, "feature_not_supported", True),
        ("content_policy", 422, "content_policy_violation", True),
        ("500", 500, "internal_server_error", False),
        ("504", 504, "request_timeout", False),
    ],
)
async def test_a_failure_is_completed_and_replayed_by_the_result(
    simulator: RunningSimulator, fault: str, status_code: int, error_type: str, billed: bool
) -> None:
    accepted = await simulator.submit(f"[sim: fail={fault}, latency=50ms]")
    ended = await simulator.ended(accepted)
    result = await simulator.result(accepted)
    assert ended["error_type"] == error_type
    assert result.status_code == status_code
    assert error_type in result.text
    seen = await simulator.seen(accepted["request_id"])
    assert (seen["billed"], seen["media"]) == (billed, [])


async def test_an_undocumented_status_word_while_running(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("[sim: status=unknown-word, latency=1m]")
    await simulator.skip(30)
    assert (await simulator.http.get(accepted["status_url"])).json()["status"] == "WARMING_UP"
    await simulator.skip(30)
    assert (await simulator.http.get(accepted["status_url"])).json()["status"] == "COMPLETED"


@pytest.mark.parametrize(
    ("endpoint", "arguments", "minutes"),
    [(VEO, {}, 60), ("fal-ai/whisper", {"audio_url": "https://example.com/a.wav", "chunk_level": "word"}, 6)],
)
async def test_a_result_is_kept_for_an_hour_and_a_large_one_for_six_minutes(
    simulator: RunningSimulator, endpoint: str, arguments: dict[str, Any], minutes: int
) -> None:
    accepted = await simulator.submit("a lake", endpoint=endpoint, **arguments)
    assert (await simulator.result(accepted)).status_code == 200
    await simulator.skip(minutes * 60 - 5)
    assert (await simulator.result(accepted)).status_code == 200
    await simulator.skip(5)
    assert (await simulator.result(accepted)).status_code == 404


async def test_a_queued_request_is_removed_by_a_cancel(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("[sim: latency=1m]")
    canceled = await simulator.http.put(accepted["cancel_url"])
    assert (canceled.status_code, canceled.json()) == (200, {"status": "OK"})
    assert (await simulator.ended(accepted))["error_type"] == "client_cancelled"
    assert (await simulator.result(accepted)).status_code == 499
    assert not (await simulator.seen(accepted["request_id"]))["billed"]


async def test_a_running_request_stops_soon_after_a_cancel(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("[sim: latency=1m]")
    await simulator.skip(30)
    canceled = await simulator.http.put(f"{accepted['cancel_url']}/")
    assert (canceled.status_code, canceled.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
    assert (await simulator.result(accepted)).status_code == 499


async def test_a_cancel_that_is_ignored_changes_nothing(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("[sim: latency=1m, cancel=ignored]")
    await simulator.skip(30)
    assert (await simulator.http.put(accepted["cancel_url"])).status_code == 202
    await simulator.skip(30)
    assert (await simulator.result(accepted)).status_code == 200
    assert (await simulator.seen(accepted["request_id"]))["billed"]


async def test_a_cancel_can_be_too_late_or_for_nobody(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("a lake")
    await simulator.ended(accepted)
    late = await simulator.http.put(accepted["cancel_url"])
    assert (late.status_code, late.json()) == (400, {"status": "ALREADY_COMPLETED"})
    unknown = await simulator.http.put("/fal-ai/veo3.1/requests/nobody/cancel")
    assert (unknown.status_code, unknown.json()) == (404, {"status": "NOT_FOUND"})


async def test_the_stream_ends_with_completed(simulator: RunningSimulator) -> None:
    accepted = await simulator.submit("[sim: latency=500ms]")
    response = await simulator.http.get(f"{accepted['status_url']}/stream", params={"logs": "1"})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line]
    assert list(dict.fromkeys(event["status"] for event in events)) == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


@pytest.fixture
async def narrow(settings: SimulatorSettings) -> AsyncIterator[RunningSimulator]:
    """An account that may run one request at a time."""
    async with running(
        settings.model_copy(update={"fal_concurrency": 1, "latency": timedelta(minutes=1)})
    ) as simulator:
        yield simulator


async def test_requests_wait_for_their_turn(narrow: RunningSimulator) -> None:
    first, second, third = [await narrow.submit("a lake") for _ in range(3)]
    await narrow.skip(30)
    positions = [
        (await narrow.http.get(each["status_url"])).json().get("queue_position") for each in (first, second, third)
    ]
    assert positions == [None, 0, 1]
    await narrow.skip(60)
    words = [(await narrow.http.get(each["status_url"])).json()["status"] for each in (first, second, third)]
    assert words == ["COMPLETED", "IN_PROGRESS", "IN_QUEUE"]


@pytest.mark.parametrize(("limit", "status_code"), [("0", 429), ("5", 200), ("few", 400)])
async def test_a_submission_may_refuse_a_long_queue(narrow: RunningSimulator, limit: str, status_code: int) -> None:
    await narrow.submit("a lake")
    response = await narrow.http.post(f"/{VEO}", params={"fal_max_queue_length": limit}, json={"prompt": "a lake"})
    assert response.status_code == status_code
    assert ("error" in response.json()) is (status_code == 400)
