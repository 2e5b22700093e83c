"""Endpoints by their id: what is refused before anything is spent, what is shown, how long descriptions are kept."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, update
from sqlmodel import col

from api.catalog.endpoints import Endpoints
from api.http.problems import InvalidParams, ServiceUnavailable
from lab.simulator.fal_documents import document_of
from reelay.db.tables import EndpointRow
from tests.integration.api.shared import problem, wrong_fields
from tests.running import PATIENT, Service, running_service
from tests.servers import Servers
from tests.unit.providers.scripted_server import ScriptedServer, json_answer, reset, scripted_server
from workflows.runs import GenerationRuns

PHOTON = "fal-ai/luma-photon"


async def sent(service: Service, model: str, words: dict[str, Any], **fields: Any) -> httpx.Response:
    return await service.client.post("/api/jobs", json={"model": model, "input": words, **fields})


async def test_every_wrong_field_is_named_and_nothing_is_bought(patient_service: Service) -> None:
    words = {"prompt": "ab", "num_images": 9, "image_size": "giant", "styel": "bold"}
    refused = await sent(patient_service, PHOTON, words, clipId="not a uuid")

    assert wrong_fields(refused) == ["clipId", "styel", "prompt", "num_images", "image_size"]
    by_field = {error["field"]: error for error in refused.json()["errors"]}
    assert by_field["num_images"]["limit"] == {"max": 4}
    assert by_field["image_size"]["limit"][:2] == ["square_hd", "square"]
    assert (await patient_service.client.get("/api/jobs")).json()["data"] == []


@pytest.mark.parametrize(
    ("model", "near"),
    [
        ("fal-ai/luma-foton", PHOTON),
        ("fal-ai/recraft/v3/text-to-imag", "fal-ai/recraft/v3/text-to-image"),
        ("fal-ai/nothing-like-it-at-all", None),
    ],
)
async def test_an_unknown_endpoint_is_answered_with_what_it_may_have_meant(
    patient_service: Service, model: str, near: str | None
) -> None:
    refused = await sent(patient_service, model, {"prompt": "a hill"})
    assert wrong_fields(refused) == ["model"]
    (error,) = refused.json()["errors"]
    assert (error["limit"] or [None])[0] == near
    assert (f'did you mean "{near}"' in error["message"]) is (near is not None)


async def test_an_endpoint_that_is_no_longer_offered_is_refused_as_that(patient_service: Service) -> None:
    refused = await sent(patient_service, "fal-ai/stable-cascade", {"prompt": "a hill"})
    (error,) = problem(refused, 422, "INVALID_PARAMS")["errors"]
    assert error["message"].startswith("is an endpoint that fal no longer offers")


async def test_a_name_that_can_be_no_endpoint_is_answered_with_the_catalogue(patient_service: Service) -> None:
    (error,) = (await sent(patient_service, "veo-3.1", {"prompt": "a hill"})).json()["errors"]
    assert "veo3.1" in error["limit"]


async def test_a_price_that_nobody_knows_needs_the_most_that_it_may_be(patient_service: Service) -> None:
    words = {"prompt": "Hello"}
    refused = await sent(patient_service, "fal-ai/any-llm", words)
    assert "maxCostCents" in problem(refused, 409, "PRICE_UNKNOWN")["detail"]
    estimate = await patient_service.client.post("/api/estimate", json={"model": "fal-ai/any-llm", "input": words})
    problem(estimate, 409, "PRICE_UNKNOWN")
    body = {"model": "fal-ai/any-llm", "input": words, "maxCostCents": 7}
    estimated = (await patient_service.client.post("/api/estimate", json=body)).json()
    assert (estimated["estimatedCostCents"], estimated["estimated"]) == (7, True)


async def test_what_costs_more_than_it_may_is_refused(patient_service: Service) -> None:
    for model, words in ((PHOTON, {"prompt": "a hill"}), ("veo3.1", {"prompt": "a hill"})):
        refused = await sent(patient_service, model, words, maxCostCents=1)
        assert wrong_fields(refused) == ["maxCostCents"]
        (error,) = refused.json()["errors"]
        assert error["limit"]["min"] > 1
        dear = await sent(patient_service, model, words, maxCostCents=error["limit"]["min"])
        assert dear.status_code == 202


async def test_more_than_the_interactive_budget_is_confirmed_also_where_the_price_is_not_known(
    patient_service: Service,
) -> None:
    refused = await sent(patient_service, "fal-ai/any-llm", {"prompt": "Hello"}, maxCostCents=501)
    problem(refused, 409, "CONFIRMATION_REQUIRED")


async def test_a_retry_holds_again_what_was_held(patient_service: Service) -> None:
    words = {"prompt": "[sim: fail=422] Hello"}
    failed = (await sent(patient_service, "fal-ai/any-llm", words, maxCostCents=7)).json()
    await patient_service.until(failed["jobId"], "failed")
    retried = await patient_service.client.post(f"/api/jobs/{failed['jobId']}/retry")
    assert (retried.status_code, retried.json()["estimatedCostCents"]) == (202, 7)


async def test_an_endpoint_shows_the_schema_of_its_input(patient_service: Service) -> None:
    shown = (await patient_service.client.get(f"/api/models/{PHOTON}")).json()
    schema = shown["inputSchema"]
    assert (shown["name"], shown["type"], shown["kind"], shown["available"]) == (
        PHOTON, "first_frame", "first-frame", True,
    )  # fmt: skip
    assert schema["required"] == ["prompt"]
    assert schema["properties"]["num_images"]["maximum"] == 4
    assert "$ref" not in str(schema)
    assert {each["name"]: each["limit"] for each in shown["inputs"]}["num_images"] == {"min": 1, "max": 4}
    assert (shown["price"]["unit"], shown["price"]["estimated"]) == ("megapixel", True)
    unpriced = (await patient_service.client.get("/api/models/fal-ai/any-llm")).json()
    assert (unpriced["price"], unpriced["kind"], unpriced["type"]) == (None, None, "other")


async def test_a_model_of_the_catalogue_shows_one_too(patient_service: Service) -> None:
    for name in ("kling-2.5-turbo-pro", "fal-ai/kling-video/v2.5-turbo/pro/text-to-video"):
        shown = (await patient_service.client.get(f"/api/models/{name}")).json()
        assert shown["name"] == "kling-2.5-turbo-pro"
        assert shown["inputSchema"]["properties"]["duration"] == {"enum": ["5", "10"]}


async def test_an_unknown_one_shows_nothing(patient_service: Service) -> None:
    for name in ("fal-ai/nothing-like-it-at-all", "veo-3.1", "../etc/passwd"):
        problem(await patient_service.client.get(f"/api/models/{name}"), 404, "NOT_FOUND")


@pytest.fixture(scope="module")
async def fal() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as server:
        yield server


@pytest.fixture(scope="module")
async def service(servers: Servers, fal: ScriptedServer) -> AsyncIterator[Service]:
    """Its worker asks that server for what fal publishes."""
    async with running_service(servers, fal_platform_base=fal.url) as running:
        yield running


def endpoints(service: Service) -> Endpoints:
    """As a process has them that has just started."""
    runs = GenerationRuns(service.temporal, service.settings.task_queue, None, PATIENT)
    return Endpoints(service.sessions, runs, is_set_up=True)


def listed(endpoint_id: str, **metadata: Any) -> dict[str, Any]:
    about = {"category": "text-to-image", "display_name": "Photon", **metadata}
    document = document_of(PHOTON)
    paths = {path.replace(PHOTON, endpoint_id): item for path, item in document["paths"].items()}
    entry = {"endpoint_id": endpoint_id, "metadata": about, "openapi": document | {"paths": paths}}
    return {"models": [entry], "has_more": False, "next_cursor": None}


def prices(endpoint_id: str, dollars: float) -> dict[str, Any]:
    entry = {"endpoint_id": endpoint_id, "unit_price": dollars, "unit": "images", "currency": "USD"}
    return {"prices": [entry], "has_more": False, "next_cursor": None}


async def grow_old(service: Service, endpoint_id: str) -> None:
    a_day_ago = func.now() - timedelta(days=1, seconds=1)
    async with service.sessions.begin() as session:
        statement = update(EndpointRow).where(col(EndpointRow.id) == endpoint_id)
        await session.execute(statement.values(checked_at=a_day_ago))


async def test_what_is_kept_is_used_for_a_day_by_all_processes(service: Service, fal: ScriptedServer) -> None:
    name, before = "fal-ai/kept-for-a-day", len(fal.seen)
    fal.script = [json_answer(200, listed(name), ETag='"one"'), json_answer(200, prices(name, 0.02))]
    for _ in range(2):
        model = await endpoints(service).find(name)
        assert model
        assert model.price_cents({"prompt": "a hill"}) == 2
    assert len(fal.seen) == before + 2


async def test_what_has_not_changed_is_confirmed_by_its_etag(service: Service, fal: ScriptedServer) -> None:
    name = "fal-ai/not-changed"
    fal.script = [json_answer(200, listed(name), ETag='"one"'), json_answer(200, prices(name, 0.02))]
    await endpoints(service).find(name)
    await grow_old(service, name)
    fal.script = [json_answer(304, {}, ETag='"one"'), json_answer(200, prices(name, 0.03))]
    for _ in range(2):
        model = await endpoints(service).find(name)
        assert model
        assert model.price_cents({"prompt": "a hill"}) == 3
    assert [seen.headers.get("if-none-match") for seen in fal.seen[-4:]] == [None, None, '"one"', None]


@pytest.mark.fault("P16")
async def test_while_fal_is_away_what_was_kept_is_used(service: Service, fal: ScriptedServer) -> None:
    name = "fal-ai/kept-while-away"
    fal.script = [json_answer(200, listed(name)), json_answer(200, prices(name, 0.02))]
    await endpoints(service).find(name)
    await grow_old(service, name)
    fal.script = [reset, reset]
    model = await endpoints(service).find(name)
    assert model
    assert model.price_cents({"prompt": "a hill"}) == 2
    with pytest.raises(ServiceUnavailable):
        await endpoints(service).find("fal-ai/never-seen")


async def test_one_process_asks_once_for_a_name_that_many_ask_for(service: Service, fal: ScriptedServer) -> None:
    unknown, before = endpoints(service), len(fal.seen)
    fal.script = [json_answer(404, {}), json_answer(200, {"models": []})]
    for _ in range(3):
        with pytest.raises(InvalidParams):
            await unknown.find("fal-ai/unknown")
    assert len(fal.seen) == before + 2


@pytest.mark.parametrize(
    "entry",
    [
        {"models": [{"endpoint_id": "fal-ai/odd", "openapi": {"error": {"code": "expansion_failed"}}}]},
        {"models": "?"},
        {},
    ],
)
async def test_an_answer_that_describes_nothing_is_no_description(
    service: Service, fal: ScriptedServer, entry: dict[str, Any]
) -> None:
    fal.script = [json_answer(200, entry)]
    with pytest.raises(ServiceUnavailable):
        await endpoints(service).find("fal-ai/odd")


async def test_an_endpoint_without_a_price_is_kept_without_one(service: Service, fal: ScriptedServer) -> None:
    name = "fal-ai/no-price"
    fal.script = [json_answer(200, listed(name)), json_answer(404, {"error": {"type": "not_found"}})]
    model = await endpoints(service).find(name)
    assert model
    assert (model.price, model.price_cents({"prompt": "a hill"})) == (None, None)
