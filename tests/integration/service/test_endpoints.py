"""Endpoints that the catalogue does not know, by their id: accepted by their documents, priced, and archived whole."""

from io import BytesIO
from typing import Any

import av
import pytest

from lab.simulator.fal_other_models import ONE_PIXEL, silence
from reelay.catalog.catalog import Catalog
from reelay.catalog.loader import load_catalog
from reelay.providers.media_mapping import SHORTENED
from tests.running import Job, Service

ADDRESS = "https://example.com/input.mp4"
# Endpoint, input, the job's type, its files, and what is held for it in cents.
ENDPOINTS: list[tuple[str, dict[str, Any], str, list[str], int]] = [
    ("fal-ai/ltx-video", {"prompt": "a hill", "loras": [{"path": ADDRESS}]}, "video", ["video.mp4"], 2),
    (
        "fal-ai/birefnet/v2/video",
        {"video_url": ADDRESS, "output_mask": True},
        "video",
        ["video-1.mp4", "video-2.mp4"],
        50,
    ),
    (
        "fal-ai/recraft/v3/text-to-image",
        {"prompt": "a hill", "num_images": 2, "sync_mode": True},
        "first_frame",
        ["image-1.png", "image-2.png"],
        8,
    ),
    (
        "fal-ai/luma-photon",
        {"prompt": "a hill", "image_size": {"width": 2048, "height": 1024}},
        "first_frame",
        ["image.png"],
        4,
    ),
    ("fal-ai/f5-tts", {"gen_text": "Hello. " * 100, "ref_audio_url": ADDRESS}, "voice_chatterbox", ["audio.wav"], 4),
    (
        "fal-ai/hunyuan3d-v21",
        {"input_image_url": ADDRESS},
        "other",
        ["file-1.glb", "file-2.zip", "image-3.png"],
        30,
    ),
    (
        "fal-ai/demucs",
        {"audio_url": ADDRESS, "stems": ["drums", "vocals"]},
        "ambient_elevenlabs",
        ["audio-1.wav", "audio-2.wav"],
        50,
    ),
    ("fal-ai/flux-lora-fast-training", {"images_data_url": ADDRESS}, "other", ["file.safetensors"], 50),
    ("fal-ai/moondream2/visual-query", {"image_url": ADDRESS, "prompt": "What is it?"}, "other", [], 50),
    ("fal-ai/any-llm", {"prompt": "https://example.com/a/link.mp4"}, "other", [], 50),
]
PRICED = {"fal-ai/ltx-video", "fal-ai/recraft/v3/text-to-image", "fal-ai/luma-photon", "fal-ai/f5-tts",
          "fal-ai/hunyuan3d-v21"}  # fmt: skip


async def created(service: Service, model: str, words: dict[str, Any], **fields: Any) -> Job:
    response = await service.client.post("/api/jobs", json={"model": model, "input": words, **fields})
    assert response.status_code == 202, response.text
    answer: Job = response.json()
    return answer


async def content(service: Service, file: dict[str, Any]) -> bytes:
    return (await service.client.get(file["fileUrl"])).content


def test_the_catalogue_knows_none_of_them() -> None:
    catalog: Catalog = load_catalog()
    assert not {endpoint for endpoint, *_ in ENDPOINTS} & {model.endpoint for model in catalog.models}


@pytest.mark.parametrize(
    ("endpoint", "words", "job_type", "files", "cents"), ENDPOINTS, ids=[each[0] for each in ENDPOINTS]
)
async def test_an_endpoint_outside_the_catalogue_is_generated_and_archived(
    patient_service: Service, endpoint: str, words: dict[str, Any], job_type: str, files: list[str], cents: int
) -> None:
    most = {} if endpoint in PRICED else {"maxCostCents": 50}
    answer = await created(patient_service, endpoint, words, **most)
    job = await patient_service.until(answer["jobId"], "completed")

    assert answer["estimatedCostCents"] == cents
    assert (job["model"], job["type"]) == (endpoint, job_type)
    assert sorted(file["name"] for file in job["files"]) == files
    assert 0 < job["creditsDeducted"] <= cents
    assert (await patient_service.servers.simulated_request(job["falRequestId"]))["input"] == words
    for file in job["files"]:
        assert len(await content(patient_service, file)) == file["fileSize"] > 0


async def test_files_that_stand_in_the_answer_are_archived_byte_for_byte(patient_service: Service) -> None:
    picture = await created(patient_service, "fal-ai/recraft/v3/text-to-image", {"prompt": "a", "sync_mode": True})
    speech = await created(patient_service, "fal-ai/f5-tts", {"gen_text": "Hi", "ref_audio_url": ADDRESS})
    picture, speech = [await patient_service.until(each["jobId"], "completed") for each in (picture, speech)]

    assert await content(patient_service, picture["files"][0]) == ONE_PIXEL + b"\0"
    assert await content(patient_service, speech["files"][0]) == silence()
    with av.open(BytesIO(silence())) as container:
        assert container.streams.audio
    assert SHORTENED.fullmatch(speech["resultData"]["audio"])  # what is kept as a file is not kept twice


async def test_an_answer_without_files_is_the_jobs_result(patient_service: Service) -> None:
    answer = await created(patient_service, "fal-ai/any-llm", {"prompt": "Hello"}, maxCostCents=9)
    job = await patient_service.until(answer["jobId"], "completed")

    assert job["resultData"] == {"output": "You said: Hello", "reasoning": None}
    assert (job["resultUrl"], job["actualCostCents"]) == (None, 9)  # what was not told is what was held


async def test_what_the_provider_counted_is_charged_and_never_more_than_was_held(patient_service: Service) -> None:
    training = {"images_data_url": ADDRESS, "steps": 40}
    cheap = await created(patient_service, "fal-ai/flux-lora-fast-training", training, maxCostCents=50)
    dear = await created(patient_service, "fal-ai/flux-lora-fast-training", training, maxCostCents=5)
    cheap, dear = [await patient_service.until(each["jobId"], "completed") for each in (cheap, dear)]

    assert (cheap["actualCostCents"], cheap["creditsDeducted"]) == (8, 8)
    assert (dear["actualCostCents"], dear["creditsDeducted"]) == (8, 5)
