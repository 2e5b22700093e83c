"""OpenAI's official Python client, unchanged but for its base address and key."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.acceptance.doors.conftest import Door, code_of
from tests.acceptance.doors.openai_2 import install_openai_2
from tests.eventually import eventually
from tests.webhook_receiver import webhook_receiver

VIDEOS = """
import json, sys
from pathlib import Path
from typing import Any
import openai

client = openai.OpenAI()
said = {"version": openai.__version__.partition(".")[0]}
video = client.videos.create_and_poll(prompt="a lake", model="sora-2", seconds="4", size="720x1280")
said["video"] = video.model_dump()
said["content"] = client.videos.download_content(video.id).read()[4:8].decode()
said["thumbnail"] = client.videos.download_content(video.id, variant="thumbnail").read()[:2].hex()
said["spritesheet"] = client.videos.download_content(video.id, variant="spritesheet").read()[:2].hex()
remixed = client.videos.remix(video.id, prompt="a sea [sim: latency=10m]")
said["remixed"] = remixed.model_dump()
failed = client.videos.create_and_poll(prompt="[sim: fail=content_policy]", seconds="4")
said["failed"] = failed.model_dump()
from_file = client.videos.create(prompt="it moves [sim: latency=10m]", seconds="4", input_reference=Path(sys.argv[1]))
by_address = client.videos.create(
    prompt="it moves [sim: latency=10m]",
    seconds="4",
    extra_body={"input_reference": {"image_url": "https://example.com/a.png"}, "seed": 7},
)
said["referring"] = [from_file.id, by_address.id]
pages = client.videos.list(limit=2)
said["listed"] = [each.id for each in pages]
said["first_page"] = [len(pages.data), pages.has_more]
said["oldest_first"] = [each.id for each in client.videos.list(limit=2, order="asc")]
try:
    client.videos.delete(remixed.id)
except openai.ConflictError as error:
    said["running"] = error.code
deleted = client.videos.delete(video.id)
said["deleted"] = deleted.model_dump()
for wrong in ({"seconds": "5"}, {"size": "3x4"}, {"model": "no"}):
    try:
        client.videos.create(prompt="a lake", **wrong)
    except openai.UnprocessableEntityError as error:
        said.setdefault("wrong", []).append([error.param, error.type])
try:
    client.videos.retrieve("video_123")
except openai.NotFoundError as error:
    said["unknown"] = error.type
print(json.dumps(said))
"""


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEklEQVR4nGP8z8DAwMDAxAADAA0WAQX3W0eZAAAAAElFTkSuQmCC"


def environment(door: Door, **more: str) -> dict[str, str]:
    return {"OPENAI_BASE_URL": f"{door.front.origin}/v1", "OPENAI_API_KEY": door.key, **more}


@pytest.mark.parametrize("version", ["2", "3"])
async def test_every_call_for_videos_works_unchanged(door: Door, png: str, version: str) -> None:
    older = {"PYTHONPATH": str(install_openai_2())} if version == "2" else {}
    said = json.loads(await door.run_python(VIDEOS, environment(door, **older), png))
    assert said["version"] == version
    video = said["video"]
    assert (video["status"], video["progress"], video["model"]) == ("completed", 100, "sora-2")
    assert (video["seconds"], video["size"], video["error"], video["prompt"]) == ("4", "720x1280", None, "a lake")
    assert isinstance(video["completed_at"], int)
    assert (said["content"], said["thumbnail"], said["spritesheet"]) == ("ftyp", "ffd8", "ffd8")
    remixed = said["remixed"]
    assert (remixed["remixed_from_video_id"], remixed["prompt"]) == (video["id"], "a sea [sim: latency=10m]")
    assert remixed["status"] in ("queued", "in_progress")
    failed = said["failed"]
    assert (failed["status"], failed["error"]["code"]) == ("failed", "content_policy_violation")
    assert said["running"] == "conflict"
    assert said["listed"] == [*reversed(said["referring"]), failed["id"], remixed["id"], video["id"]]
    assert said["first_page"] == [2, True]
    assert said["oldest_first"] == [*reversed(said["listed"])]
    assert said["deleted"] == {"id": video["id"], "deleted": True, "object": "video.deleted"}
    assert said["wrong"] == [[name, "invalid_request_error"] for name in ("seconds", "size", "model")]
    assert said["unknown"] == "invalid_request_error"
    from_file, by_address = [await door.service.job(each) for each in said["referring"]]
    assert from_file["input"]["firstFrameUrl"].startswith("asset:")
    assert by_address["input"]["firstFrameUrl"] == "https://example.com/a.png"
    assert by_address["input"]["seed"] == 7


async def test_three_posts_of_one_idempotency_key_are_one_job(door: Door) -> None:
    program = """
import openai
print(openai.OpenAI().videos.create(prompt="a lake", extra_headers={"Idempotency-Key": "one"}).id)
try:
    openai.OpenAI().videos.create(prompt="a sea", extra_headers={"Idempotency-Key": "one"})
except openai.UnprocessableEntityError as error:
    print(error.code)
"""
    door.front.answers_to_lose = 2
    video_id, refused = (await door.run_python(program, environment(door))).split()
    jobs = (await door.service.client.get("/api/jobs")).json()["data"]
    assert [job["id"] for job in jobs] == [video_id]
    assert refused == "idempotency_key_reused"
    assert len([each for each in door.front.requests if each.startswith("POST")]) == 4


async def test_without_credits_it_is_refused_once(door: Door) -> None:
    program = """
import openai
try:
    openai.OpenAI().videos.create(prompt="a lake")
except openai.APIStatusError as error:
    print(error.status_code, error.type, error.code)
"""
    async with await door.service.user("poor", credits=0) as poor:
        key = poor.headers["authorization"].removeprefix("Bearer ")
        said = await door.run_python(program, environment(door, OPENAI_API_KEY=key))
    assert said.split() == ["402", "insufficient_quota", "insufficient_credits"]
    assert len(door.front.requests) == 1


async def test_speech_transcriptions_and_images_wait_for_their_job(door: Door) -> None:
    program = """
import json, openai
client = openai.OpenAI()
sound = client.audio.speech.create(model="tts-1", voice="alloy", input="Welcome to the harbour.").read()
text = client.audio.transcriptions.create(model="whisper-1", file=("speech.wav", sound)).text
images = client.images.generate(model="dall-e-3", prompt="a lake", size="1792x1024", n=1).data
inline = client.images.generate(model="gpt-image-1", prompt="a lake").data
try:
    client.images.generate(model="dall-e-3", prompt="[sim: fail=content_policy]")
except openai.UnprocessableEntityError as error:
    refused = error.message
print(json.dumps([len(sound), text, images[0].url, len(inline[0].b64_json), refused]))
"""
    size, text, address, inline, refused = json.loads(await door.run_python(program, environment(door)))
    assert min(size, inline) > 100
    assert text
    assert address.startswith(f"{door.front.origin}/api/media/")
    assert "flagged" in refused


@pytest.mark.parametrize(("prompt", "kind"), [("a lake", "video.completed"), ("[sim: fail=422]", "video.failed")])
async def test_a_video_s_webhook_is_verified_by_the_client(door: Door, prompt: str, kind: str) -> None:
    async with webhook_receiver() as receiver:
        program = f"""
import openai
print(openai.OpenAI().videos.create(prompt={prompt!r}, extra_body={{"webhook_url": {receiver.url()!r}}}).id)
"""
        video_id = (await door.run_python(program, environment(door))).strip()
        (told,) = await receiver.requests(1)
        secret = (await door.service.client.get("/api/webhook-endpoints/signing-secret")).json()["secret"]
        client = openai.OpenAI(api_key="none", webhook_secret=secret)
        client.webhooks.verify_signature(told.body, told.headers)
        with pytest.raises(openai.InvalidWebhookSignatureError):
            client.webhooks.verify_signature(told.body + b" ", told.headers)
        event = json.loads(told.body)
        assert (event["object"], event["type"], event["data"]) == ("event", kind, {"id": video_id})
        assert event["id"].startswith("evt_")
        assert isinstance(event["created_at"], int)
        assert len(receiver.received) == 1


LAKE = {"prompt": "a lake"}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/videos", LAKE | {"webhook_url": "https://10.0.0.1/"}, "webhook_url"),
    ("/v1/videos", LAKE | {"webhook_url": 7}, "webhook_url"),
    ("/v1/videos", LAKE | {"input_reference": {"image_url": "a lake.png"}}, "input_reference"),
    ("/v1/images/generations", LAKE | {"n": 100}, "n"),
    ("/v1/audio/speech", {"model": "tts-1", "voice": "alloy"}, "input"),
    ("/v1/audio/transcriptions", {"model": "whisper-1", "file": "speech.wav"}, "file"),
    ("/v1/audio/transcriptions", {"model": "whisper-1", "response_format": "srt"}, "response_format"),
]


@pytest.mark.parametrize(("path", "body", "param"), REFUSED)
async def test_what_is_refused_is_called_as_it_was_sent(
    door: Door, path: str, body: dict[str, Any], param: str
) -> None:
    refused = await door.service.client.post(path, json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, param)


WRONG = [
    ("GET", "/v1/nothing", b"", 404, "invalid_request_error", "not_found"),
    ("POST", "/v1/chat/completions", b"{}", 404, "invalid_request_error", "not_found"),
    ("PUT", "/v1/videos", b"{}", 405, "invalid_request_error", "method_not_allowed"),
    ("GET", "/v1/audio/speech", b"", 405, "invalid_request_error", "method_not_allowed"),
    ("POST", "/v1/videos", b" " * (1024 * 1024 + 1), 413, "invalid_request_error", "payload_too_large"),
    ("POST", "/v1/audio/speech", b" " * (1024 * 1024 + 1), 413, "invalid_request_error", "payload_too_large"),
    ("POST", "/v1/videos", b'{"prompt": "\xff"}', 422, "invalid_request_error", "invalid_params"),
]


@pytest.mark.parametrize(("method", "path", "content", "status", "kind", "code"), WRONG)
async def test_what_no_call_takes_is_refused_in_the_shape_of_all_errors(
    door: Door, method: str, path: str, content: bytes, status: int, kind: str, code: str
) -> None:
    headers = {"content-type": "application/json", "accept-language": "fr"}
    refused = await door.service.client.request(method, path, content=content, headers=headers)
    body = refused.json()

    assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json")
    assert body["error"] == {"message": body["detail"], "type": kind, "param": None, "code": code}
    assert (body["status"], body["code"]) == (status, code.upper())
    assert refused.headers["x-should-retry"] == "false"
    assert ("allow" in refused.headers) is (status == 405)


async def test_a_sheet_of_sprites_is_made_once_and_deleted_with_its_video(door: Door) -> None:
    service = door.service
    video = (await service.client.post("/v1/videos", json=LAKE)).json()["id"]
    await service.until(video, "completed")
    address = f"/v1/videos/{video}/content?variant=spritesheet"
    made = await service.client.get(address)
    assert made.content[:2] == b"\xff\xd8"
    (kept,) = (service.settings.data_dir / "archive").glob(f"*/{video}/video-sheet.jpg")
    kept.write_bytes(b"the one that is kept")
    assert (await service.client.get(address)).content == b"the one that is kept"
    await service.client.delete(f"/v1/videos/{video}")

    async def is_gone() -> bool:
        return not kept.exists()

    await eventually(is_gone)


async def test_a_price_above_the_limit_names_the_header(door: Door) -> None:
    limit = {"x-reelay-max-cost-cents": "1"}
    of_openai = await door.service.client.post("/v1/videos", json=LAKE, headers=limit)
    of_fal = await door.service.client.post("/fal/queue/fal-ai/nano-banana", json=LAKE, headers=limit)
    assert of_openai.json()["error"]["param"] == "x-reelay-max-cost-cents"
    assert of_fal.json()["detail"][0]["loc"] == ["body", "x-reelay-max-cost-cents"]


@pytest.fixture
def png(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("png") / "a lake.png"
    file.write_bytes(b64decode(PIXEL))
    return str(file)


async def test_the_guides_code_runs(door: Door, tmp_path: Path) -> None:
    code = code_of("openai.md", "python").replace('"lighthouse.mp4"', f'"{tmp_path}/lighthouse.mp4"')
    said = await door.run_python(code, environment(door))
    assert said.split()[1] == "completed"
    assert (tmp_path / "lighthouse.mp4").stat().st_size > 1000
