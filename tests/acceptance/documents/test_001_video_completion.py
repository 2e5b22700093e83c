"""Document 001 as it stands: its own payload by its own curl call, its script, and a gallery written after it."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sqlmodel import col, select
from structlog.testing import capture_logs

from reelay.db.tables import GenerationJob, Scope, WebhookDelivery
from reelay.domain.generation import ProviderName
from tests.integration.api.shared import problem
from tests.integration.api.studio import PATH
from tests.paths import ROOT
from tests.running import Service, running_service, until
from tests.servers import Servers

SCRIPT = ROOT / "scripts" / "test-video-webhook.sh"
PROMPT = "Un coucher de soleil cinématographique sur l'océan"


def document(job_id: str, file_url: str) -> dict[str, Any]:
    """The document's payload, with an address of the file that answers."""
    return {
        "job_id": job_id,
        "status": "completed",
        "content_type": "video",
        "timestamp": "2025-10-23T14:30:00Z",
        "has_data": True,
        "data": {
            "job_id": job_id,
            "status": "completed",
            "videos": [
                {
                    "filename": "sunset-ocean.mp4",
                    "file_path": f"/videos/{job_id}/sunset-ocean.mp4",
                    "file_url": file_url,
                    "file_size": 15728640,
                    "format": "mp4",
                    "duration_seconds": 8,
                    "aspect_ratio": "16:9",
                    "dimensions": {"width": 1920, "height": 1080},
                    "created_at": "2025-10-23T14:30:00Z",
                }
            ],
            "metadata": {
                "model_name": "veo-2.0-generate-001",
                "model_version": "2.0",
                "processing_time": 120.5,
                "generation_time": 90.2,
                "download_time": 30.3,
                "prompt_used": PROMPT,
                "num_videos_requested": 1,
                "num_videos_generated": 1,
                "config_used": {"aspect_ratio": "16:9", "duration_seconds": 8, "person_generation": "ALLOW_ALL"},
            },
            "generated_at": "2025-10-23T14:30:00Z",
            "success": True,
            "num_videos": 1,
            "prompt": PROMPT,
        },
        "environment": "development",
    }


def failure(job_id: str, **data: Any) -> dict[str, Any]:
    return {"job_id": job_id, "status": "failed", "content_type": "video", "data": data}


def a_sample(service: Service) -> str:
    return f"{service.servers.simulator}/files/samples/output.mp4"


async def announce(client: httpx.AsyncClient, name: str) -> None:
    """As the document's application makes its `VideoGeneration` first, with the words that it knows."""
    words = {
        "prompt": PROMPT,
        "aspectRatio": "16:9",
        "numberOfVideos": 1,
        "durationSeconds": 8,
        "personGeneration": "ALLOW_ALL",
        "inputImageBase64": "aGVsbG8=",
    }
    body = {"model": "studio-push", "externalId": name, "input": words, "metadata": {"organizationId": "org-1"}}
    answer = await client.post("/api/jobs", json=body)
    assert answer.status_code == 202, answer.text
    await until(client, f"/api/jobs/{name}", "submitted")


async def run(*command: str, environment: Mapping[str, str] | None = None) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *command, env={"PATH": os.environ["PATH"], **(environment or {})}, stdout=-1, stderr=-2
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_documents_curl_call_goes_through_in_development_without_a_secret(servers: Servers) -> None:
    async with running_service(servers, webhook_secret=None, webhook_patience=60) as service:
        await announce(service.client, "cm123abc456")
        payload = document("cm123abc456", a_sample(service))
        status, said = await run(
            *("curl", "-sS", "-X", "POST", f"{service.origin}{PATH}"),
            *("-H", "Content-Type: application/json", "-d", json.dumps(payload, ensure_ascii=False)),
        )
        assert status == 0, said
        answer = json.loads(said)
        assert isinstance(answer.pop("processing_time_ms"), int)
        assert answer == {
            "success": True,
            "message": "Video generation webhook processed successfully",
            "job_id": "cm123abc456",
            "num_videos": 1,
        }
        job = await service.until("cm123abc456", "completed")
        assert job["resultData"] == payload["data"]
        assert (job["prompt"], job["metadata"]) == (PROMPT, {"organizationId": "org-1"})
        assert job["input"]["personGeneration"] == "ALLOW_ALL"
        assert is_shown_in_the_gallery((await service.client.get("/api/videos/user")).json()["data"], payload)


async def test_words_of_the_document_reach_the_backend(patient_service: Service) -> None:
    words = {"prompt": PROMPT, "numberOfVideos": 2, "durationSeconds": 6, "inputImageBase64": "aGVsbG8="}
    created = await patient_service.client.post("/api/jobs", json={"model": "studio-video", "input": words})
    job_id = created.json()["jobId"]
    assert len((await patient_service.until(job_id, "completed"))["files"]) == 2
    assert (await patient_service.servers.simulated_request(job_id))["input"] == {
        "prompt": PROMPT,
        "num_videos": 2,
        "duration": "6",
        "aspect_ratio": "16:9",
        "person_generation": "ALLOW_ALL",
        "input_image_base64": "aGVsbG8=",
    }


def is_shown_in_the_gallery(generations: list[dict[str, Any]], payload: dict[str, Any]) -> bool:
    """What a gallery reads that was written after the document: each generation with its videos, and what made them."""
    told = payload["data"]
    (generation,) = generations
    assert generation["externalId"] == payload["job_id"]
    assert (generation["modelName"], generation["modelVersion"]) == ("veo-2.0-generate-001", "2.0")
    times = (generation["processingTime"], generation["generationTime"], generation["downloadTime"])
    assert times == (120.5, 90.2, 30.3)
    assert generation["generatedAt"] == told["generated_at"]
    for video in (generation, *generation["videos"]):
        assert video["file_url"].startswith("http")
        assert video["file_path"]
        assert video["file_size"] > 0
        assert video["duration_seconds"] == 3.0
        assert video["dimensions"] == {"width": 1280, "height": 720}
        assert video["aspectRatio"] == "16:9"
    (video,) = generation["videos"]
    assert (video["fileName"], video["metadata"]) == ("sunset-ocean.mp4", told["metadata"])
    return True


async def test_script_passes_its_nine_tests(patient_service: Service, caller: httpx.AsyncClient) -> None:
    assert patient_service.settings.webhook_secret
    environment = {
        "KEY": caller.headers["authorization"].removeprefix("Bearer "),
        "WEBHOOK_SECRET": patient_service.settings.webhook_secret.get_secret_value(),
        "VIDEO_URL": a_sample(patient_service),
    }
    status, said = await run(str(SCRIPT), f"{patient_service.origin}/", environment=environment)
    assert (status, said.count("✅"), said.count("❌")) == (0, 10, 0), said

    environment["WEBHOOK_SECRET"] = "another"
    status, said = await run(str(SCRIPT), patient_service.origin, environment=environment)
    assert status == 1
    assert said.count("✅") == 1
    assert "❌ 8 of 9 tests failed" in said


async def test_script_without_an_address_finds_the_running_stack(
    patient_service: Service, caller: httpx.AsyncClient, tmp_path: Path
) -> None:
    assert patient_service.settings.webhook_secret
    addresses = {"api_url": patient_service.origin, "simulator_url": patient_service.servers.simulator}
    (tmp_path / "stack.json").write_text(json.dumps(addresses, indent=2))
    (tmp_path / "local-key").write_text(caller.headers["authorization"].removeprefix("Bearer "))
    environment = {
        "REELAY_DATA_DIR": str(tmp_path),
        "WEBHOOK_SECRET": patient_service.settings.webhook_secret.get_secret_value(),
    }
    status, said = await run(str(SCRIPT), environment=environment)
    assert (status, said.count("✅")) == (0, 10), said


async def test_failure_is_told_by_its_prompt(patient_service: Service, caller: httpx.AsyncClient) -> None:
    assert patient_service.settings.webhook_secret
    secret = {"x-webhook-secret": patient_service.settings.webhook_secret.get_secret_value()}
    with_prompt, without = f"cm{uuid4().hex}", f"cm{uuid4().hex}"
    for name, data in ((with_prompt, {"metadata": {"prompt_used": PROMPT}}), (without, {})):
        await announce(caller, name)
        answer = await caller.post(PATH, json=failure(name, **data), headers=secret)
        assert answer.json()["success"] is True
        await until(caller, f"/api/jobs/{name}", "failed")

    job = (await caller.get(f"/api/jobs/{with_prompt}")).json()
    assert job["errorMessage"] == f'Generation failed for: "{PROMPT}"'
    assert (job["progress"], job["resultData"]["metadata"]["prompt_used"]) == (0, PROMPT)
    job = (await caller.get(f"/api/jobs/{without}")).json()
    assert job["errorMessage"] == "Unknown error during generation"


async def test_rows_are_written_in_the_language_of_the_installation(servers: Servers) -> None:
    async with running_service(servers, language="fr", webhook_patience=60) as service:
        name = f"cm{uuid4().hex}"
        await announce(service.client, name)
        for status, sentence in (
            ("pending", "En attente de traitement"),
            ("processing", "Traitement en cours"),
            ("generating", "Génération de la vidéo en cours"),
            ("downloading", "Téléchargement de la vidéo depuis Google"),
        ):
            body = {"job_id": name, "status": status, "content_type": "video"}
            await service.client.post(PATH, json=body, headers=secret_of(service))
            assert (await row_of(service, name)).progress_message == sentence
            assert (await service.job(name))["progressMessage"] == sentence
        told = failure(name, metadata={"prompt_used": PROMPT})
        await service.client.post(PATH, json=told, headers=secret_of(service))
        await service.until(name, "failed")
        row = await row_of(service, name)
        assert row.progress_message == "La génération a échoué"
        assert row.error_message == f'Échec de génération pour: "{PROMPT}"'


def secret_of(service: Service) -> dict[str, str]:
    assert service.settings.webhook_secret
    return {"x-webhook-secret": service.settings.webhook_secret.get_secret_value()}


async def row_of(service: Service, name: str) -> GenerationJob:
    async with service.sessions() as session:
        rows = await session.scalars(select(GenerationJob).where(col(GenerationJob.external_id) == name))
        return rows.one()


async def test_push_that_was_refused_before_is_understood_when_it_is_replayed(patient_service: Service) -> None:
    """As an installation has it in its log that did not know the document's shape."""
    name = f"cm{uuid4().hex}"
    await announce(patient_service.client, name)
    body = json.dumps(document(name, a_sample(patient_service))).encode()
    refused = WebhookDelivery(
        provider=ProviderName.STUDIO,
        verdict="malformed",
        status_code=400,
        detail="videos is missing",
        verified=True,
        body=body,
    )
    async with patient_service.sessions.begin() as session:
        session.add(refused)
    async with await patient_service.user("operator", scope=Scope.ADMIN) as operator:
        replayed = await operator.post(f"/api/admin/webhooks/{refused.id}/replay")
    assert replayed.json()["verdict"] == "accepted"
    job = await patient_service.until(name, "completed")
    assert (job["modelName"], len(job["files"])) == ("veo-2.0-generate-001", 1)


async def test_every_push_leaves_one_line_without_a_secret(patient_service: Service) -> None:
    name = f"cm{uuid4().hex}"
    await announce(patient_service.client, name)
    told = {"job_id": name, "status": "processing", "content_type": "video", "note": "not for the log"}
    with capture_logs() as lines:
        await patient_service.client.post(PATH, json=told, headers=secret_of(patient_service))
        await patient_service.client.post(PATH, json=told)
        await patient_service.client.post(PATH, json={"job_id": name}, headers=secret_of(patient_service))
        problem(
            await patient_service.client.post(
                PATH, json=told | {"job_id": "nobody's"}, headers=secret_of(patient_service)
            ),
            404,
            "NOT_FOUND",
        )
    received = [line for line in lines if line["event"] == "webhook_received"]
    job_id = str((await row_of(patient_service, name)).id)
    assert [(line["provider"], line["verdict"], line["status"], line["job_id"]) for line in received] == [
        ("studio", "accepted", 200, job_id),
        ("studio", "forged", 401, None),
        ("studio", "malformed", 400, None),
        ("studio", "unknown", 404, None),
    ]
    assert all(line["took_ms"] >= 0 for line in received)
    assert "not for the log" not in str(received)
