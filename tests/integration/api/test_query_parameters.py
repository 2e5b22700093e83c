"""A query parameter that a call does not know is refused, and named: it would otherwise change nothing, silently."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.document import openapi_document
from tests.integration.api.shared import problem, wrong_fields
from tests.running import Service

ANY_ID = "7d9f2a4e-6f0b-4c1e-9a58-2b1d1c0f7e31"
OF_JOBS = (
    "limit, status, type, model, campaignId, clipId, batchId, createdAfter, createdBefore, search, metadata.KEY, after"
)
LETTING_THROUGH = {
    "/api/webhooks/fal",
    "/api/webhooks/replicate",
    "/api/webhooks/video-completion",
    "/api/media/{job_id}/{name}",
    "/healthz",
    "/readyz",
    "/metrics",
}


def documented() -> Iterator[tuple[str, str, list[str]]]:
    """Each operation with the query parameters that the document names."""
    for path, item in openapi_document()["paths"].items():
        for method, operation in item.items():
            names = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
            yield method.upper(), path, names


async def test_every_documented_call_takes_what_the_document_names_and_nothing_else(
    patient_service: Service, subtests: pytest.Subtests
) -> None:
    for method, path, names in documented():
        with subtests.test(f"{method} {path}"):
            address = re.sub(r"{\w+}", ANY_ID, path)
            response = await patient_service.client.request(method, address, params={"nobodys": "1"})
            if path in LETTING_THROUGH:
                assert "is not a query parameter" not in response.text
                continue
            (error,) = problem(response, 422, "INVALID_PARAMS")["errors"]
            assert (error["field"], error["value"]) == ("nobodys", None)
            assert sorted(error["limit"]) == sorted(names)
            assert all(name in error["message"] for name in names)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/api/jobs?limti=5", f'it takes {OF_JOBS}; did you mean "limit"?'),
        ("/api/jobs?metadata=7", f'it takes {OF_JOBS}; did you mean "metadata.KEY"?'),
        ("/api/jobs?colour=red", f"it takes {OF_JOBS}"),
        (f"/api/jobs/{ANY_ID}?Wait=5", 'it takes logs, wait, until; did you mean "wait"?'),
        ("/api/credits?user=ann", "it takes none"),
    ],
)
async def test_it_says_what_there_is(patient_service: Service, path: str, message: str) -> None:
    (error,) = problem(await patient_service.client.get(path), 422, "INVALID_PARAMS")["errors"]
    assert error["message"].endswith(message)


async def test_all_unknown_ones_are_named_together(patient_service: Service) -> None:
    response = await patient_service.client.get("/api/jobs?newerThan=2026-01-01&limit=5&words&%00=")
    assert wrong_fields(response) == ["newerThan", "words", "\0"]


async def test_it_is_said_in_the_language_asked_for(patient_service: Service) -> None:
    response = await patient_service.client.get("/api/credits?x=1", headers={"accept-language": "fr"})
    (error,) = problem(response, 422, "INVALID_PARAMS")["errors"]
    assert error["message"] == "n'est pas un paramètre de cet appel ; il n'en accepte aucun"


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/web/reelay.js", "/healthz", "/readyz", "/metrics"])
async def test_what_is_no_api_lets_them_through(patient_service: Service, path: str) -> None:
    assert (await patient_service.client.get(path, params={"utm_source": "mail"})).status_code == 200


async def test_link_to_media_plays_with_what_a_player_adds(patient_service: Service) -> None:
    job = await patient_service.until(await patient_service.create("for a player"), "completed")
    async with httpx.AsyncClient() as anybody:
        response = await anybody.get(job["resultUrl"] + "&_cache=17")
    assert (response.status_code, response.headers["content-type"]) == (200, "video/mp4")
