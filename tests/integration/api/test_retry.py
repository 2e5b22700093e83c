"""A retry: of the job as it was, or with changes to its input, which are validated and priced like a creation."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from reelay.db.tables import GenerationJob
from tests.integration.api.shared import problem, wrong_fields
from tests.running import Service, running_service
from tests.servers import Servers

BAD = "a hill [sim: fail=422]"
FRAME = "https://images.example.com/frame.png"
KLING = "kling-2.5-turbo-pro"


async def failed(service: Service, path: str = "/api/generate/video", **body: Any) -> str:
    created = await service.client.post(path, json=body)
    assert created.status_code == 202, created.text
    job_id = str(created.json()["jobId"])
    await service.until(job_id, "failed")
    return job_id


async def retried(service: Service, job_id: str, changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The new job."""
    answer = await service.client.post(f"/api/jobs/{job_id}/retry", json={"input": changes, **more})
    assert answer.status_code == 202, answer.text
    return await service.job(answer.json()["jobId"])


async def row(service: Service, job_id: str) -> GenerationJob:
    async with service.sessions() as session:
        return await session.get_one(GenerationJob, UUID(job_id))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"input": {}}'])
async def test_without_changes_it_is_the_job_again(patient_service: Service, body: bytes) -> None:
    job_id = await failed(patient_service, prompt=BAD, quality="fast", duration=4)
    headers = {"content-type": "application/json"} if body else {}
    again = await patient_service.client.post(f"/api/jobs/{job_id}/retry", content=body, headers=headers)

    first, second = await row(patient_service, job_id), await row(patient_service, again.json()["jobId"])
    assert (first.arguments, first.input_params) == (second.arguments, second.input_params)


async def test_changes_are_merged_into_the_input_by_field(patient_service: Service) -> None:
    job_id = await failed(
        patient_service, prompt=BAD, quality="fast", duration=4, negativePrompt="fog", aspectRatio="9:16"
    )
    before = await row(patient_service, job_id)
    job = await retried(
        patient_service, job_id, {"prompt": "a hill", "negativePrompt": None, "aspect_ratio": "16:9", "seed": 7}
    )
    job = await patient_service.until(job["id"], "completed")

    assert job["input"] == {"prompt": "a hill", "quality": "fast", "duration": 4, "aspect_ratio": "16:9", "seed": 7}
    sent = (await patient_service.servers.simulated_request(job["falRequestId"]))["input"]
    expected = before.arguments | {"prompt": "a hill", "aspect_ratio": "16:9", "seed": 7}
    assert sent == {name: value for name, value in expected.items() if name != "negative_prompt"}


async def test_a_field_that_is_removed_has_the_models_default(patient_service: Service) -> None:
    job_id = await failed(patient_service, "/api/jobs", model="veo3.1-fast", input={"prompt": BAD, "duration": 4})
    job = await retried(patient_service, job_id, {"duration": None})

    assert job["input"] == {"prompt": BAD}
    assert (await row(patient_service, job["id"])).arguments["duration"] == "8s"


async def test_changed_input_has_its_own_price(patient_service: Service) -> None:
    job_id = await failed(patient_service, prompt=BAD, quality="fast", duration=4)
    job = await retried(patient_service, job_id, {"duration": 8})
    estimate = {"model": "veo3.1-fast", "input": {"prompt": BAD, "duration": 8}}
    price = (await patient_service.client.post("/api/estimate", json=estimate)).json()["estimatedCostCents"]

    assert job["estimatedCostCents"] == price == 2 * (await patient_service.job(job_id))["estimatedCostCents"]


async def test_a_changed_input_above_the_interactive_budget_needs_a_confirmation(servers: Servers) -> None:
    async with running_service(servers, interactive_budget_cents=60, webhook_patience=60) as service:
        job_id = await failed(service, prompt=BAD, quality="fast", duration=4)
        change = {"duration": 6}
        refused = await service.client.post(f"/api/jobs/{job_id}/retry", json={"input": change})
        assert problem(refused, 409, "CONFIRMATION_REQUIRED")["estimatedCostCents"] == 90
        dear = (await retried(service, job_id, change, confirm=True))["id"]
        await service.until(dear, "failed")
        assert (await service.client.post(f"/api/jobs/{dear}/retry")).status_code == 202


async def test_what_nobody_can_price_holds_again_what_was_held(patient_service: Service) -> None:
    words = {"prompt": "[sim: fail=422] Hello"}
    job_id = await failed(patient_service, "/api/jobs", model="fal-ai/any-llm", input=words, maxCostCents=7)
    job = await retried(patient_service, job_id, {"prompt": "[sim: fail=422] Goodbye"})

    assert (job["estimatedCostCents"], job["prompt"]) == (7, "[sim: fail=422] Goodbye")


async def test_a_first_frame_that_comes_or_goes_changes_the_endpoint(patient_service: Service) -> None:
    job_id = await failed(patient_service, model=KLING, prompt=BAD, duration=10)
    with_frame = await retried(patient_service, job_id, {"firstFrameUrl": FRAME})
    await patient_service.until(with_frame["id"], "failed")
    without = await retried(patient_service, with_frame["id"], {"inputImageUrl": None})

    rows = [await row(patient_service, each) for each in (job_id, with_frame["id"], without["id"])]
    text, image = (f"fal-ai/kling-video/v2.5-turbo/pro/{kind}-to-video" for kind in ("text", "image"))
    assert [each.endpoint for each in rows] == [text, image, text]
    assert [each.arguments["duration"] for each in rows] == ["10", "10", "10"]
    assert rows[1].arguments["image_url"] == FRAME
    assert "aspect_ratio" not in rows[1].arguments
    assert with_frame["assets"] == {"firstFrameUrl": FRAME}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"input": {"colour": "red", "duration": 7}}, {"colour", "duration"}),
        ({"input": {"colour": None}}, {"colour"}),
        ({"input": {"prompt": None}}, {"prompt"}),
        ({"input": {"aspectRatio": "16:9", "aspect_ratio": "9:16"}}, {"aspectRatio"}),
        ({"input": {"firstFrameUrl": "asset:6f4e8f4e-2a0f-4d0e-9a55-3f5a3d4d9a10"}}, {"firstFrameUrl"}),
        ({"input": {"model": "veo3.1"}}, {"model"}),
        ({"model": "veo3.1", "input": {"duration": 8}}, {"model"}),
        ({"prompt": "a hill", "metadata": {}}, {"prompt", "metadata"}),
        ({"input": []}, {"input"}),
    ],
)
async def test_what_is_wrong_with_the_changes_is_named(
    patient_service: Service, body: dict[str, Any], fields: set[str]
) -> None:
    job_id = await failed(patient_service, prompt=BAD, quality="fast", duration=4)

    assert set(wrong_fields(await patient_service.client.post(f"/api/jobs/{job_id}/retry", json=body))) == fields


async def test_a_key_stands_for_one_change(patient_service: Service) -> None:
    job_id = await failed(patient_service, prompt=BAD, quality="fast", duration=4)

    async def retry(changes: dict[str, Any] | None, headers: dict[str, str]) -> Any:
        body = None if changes is None else {"input": changes}
        return await patient_service.client.post(f"/api/jobs/{job_id}/retry", json=body, headers=headers)

    changed, unchanged = ({"idempotency-key": str(uuid4())} for _ in range(2))
    first, again = await retry({"duration": 6}, changed), await retry({"duration": 6}, changed)
    assert (first.status_code, again.content) == (202, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    for other in ({"duration": 8}, {}, None):
        problem(await retry(other, changed), 422, "IDEMPOTENCY_KEY_REUSED")
    as_it_was = await retry(None, unchanged)
    assert (await retry({}, unchanged)).json()["jobId"] == as_it_was.json()["jobId"]
    problem(await retry({"duration": 6}, unchanged), 422, "IDEMPOTENCY_KEY_REUSED")
