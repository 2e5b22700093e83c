"""The OpenAPI document says what everything means, and suits generators of clients."""

from collections.abc import Iterator
from typing import Any

import pytest

from api.app import create_app
from api.generations.schemas import StatusFilter
from api.http.problems import Problem, ProblemCode
from reelay.domain.failure import FailureCode
from reelay.domain.generation import JobType, ProviderName, Stage, Status
from reelay.settings import Environment, Settings
from tests.document import openapi_document

Document = dict[str, Any]
CONDITIONS = ("if", "then")
"""They repeat properties that are described elsewhere in their schema."""


@pytest.fixture(scope="module")
def document() -> Document:
    return openapi_document()


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def properties(part: Any, place: str) -> Iterator[tuple[str, Document]]:
    """Each property of each object in a part of the document, with its place."""
    if isinstance(part, list):
        part = dict(enumerate(part))
    if isinstance(part, dict):
        for key, inner in part.items():
            here = f"{place}.{key}"
            if key == "properties" and part.get("type", "object") == "object" and isinstance(inner, dict):
                yield from ((f"{here}.{name}", schema) for name, schema in inner.items())
            if key not in CONDITIONS:
                yield from properties(inner, here)


def test_every_schema_property_parameter_operation_and_header_is_described(document: Document) -> None:
    components = document["components"]
    parts = [*properties(components["schemas"], "schemas"), *properties(document["paths"], "paths")]
    parts += [*components["schemas"].items(), *components["headers"].items(), *components["securitySchemes"].items()]
    for name, operation in operations(document):
        parts.append((name, operation))
        parts += [(f"{name} {each['name']}", each) for each in operation.get("parameters", [])]
        parts += [(f"{name} {status}", response) for status, response in operation["responses"].items()]

    assert len(parts) > 500
    assert [place for place, part in parts if len(part.get("description", "").rstrip(".")) < 2] == []


def test_what_machines_decide_by_is_an_enum(document: Document) -> None:
    schemas = document["components"]["schemas"]
    for values in (Status, Stage, JobType, ProviderName, FailureCode, StatusFilter, ProblemCode):
        assert schemas[values.__name__]["enum"] == list(values)
    job = schemas["JobView"]["properties"]
    assert [job[name]["$ref"].rpartition("/")[2] for name in ("status", "stage", "type", "provider")] == [
        "Status",
        "Stage",
        "JobType",
        "ProviderName",
    ]
    assert {"$ref": "#/components/schemas/FailureCode"} in job["errorCode"]["anyOf"]
    assert schemas["ProblemView"]["properties"]["code"]["$ref"].endswith("/ProblemCode")


def test_enums_explain_each_of_their_values(document: Document) -> None:
    for values in (Status, Stage, FailureCode, ProblemCode):
        description = document["components"]["schemas"][values.__name__]["description"]
        assert [value for value in values if f"- `{value}`: " not in description] == []


def test_every_problem_has_a_documented_code() -> None:
    problems: list[type[Problem]] = [Problem, *Problem.__subclasses__()]
    assert all(isinstance(problem.code, ProblemCode) for problem in problems)


@pytest.mark.parametrize(
    ("name", "required"),
    [
        ("VideoRequest", ["prompt"]),
        ("FirstFrameRequest", ["prompt"]),
        ("VoiceRequest", ["text"]),
        ("AmbientRequest", ["prompt"]),
        ("TranscribeRequest", ["audioUrl"]),
        ("JobRequest", ["model"]),
        ("CampaignRequest", ["name"]),
        ("ClipRequest", []),
        ("ChatRequest", ["message"]),
        ("TaskRequest", ["taskId", "prompt"]),
    ],
)
def test_requests_require_what_has_no_default_and_nothing_else(
    document: Document, name: str, required: list[str]
) -> None:
    schema = document["components"]["schemas"][name]
    assert schema.get("required", []) == required
    assert not any("default" in field for field in schema["properties"].values())


def test_a_default_is_told_in_words(document: Document) -> None:
    fields = document["components"]["schemas"]["VideoRequest"]["properties"]
    assert fields["quality"]["description"].endswith('Default: `"standard"`.')
    assert fields["confirm"]["description"].endswith("Default: `false`.")


def test_what_an_answer_always_has_is_required(document: Document) -> None:
    schemas = document["components"]["schemas"]
    for name in ("JobView", "FalJobView", "WaitedView", "FileView", "VideoView", "ModelView", "JobList"):
        assert set(schemas[name]["required"]) == schemas[name]["properties"].keys(), name


def test_what_an_answer_may_leave_out_is_not_required(document: Document) -> None:
    schemas = document["components"]["schemas"]
    assert not {"metadata", "nodeData"} & set(schemas["CreatedView"]["required"])
    for name in ("ClipVideo", "ClipFirstFrame", "ClipAudio", "InputLimit", "Bounds"):
        assert "required" not in schemas[name]
    assert "jobId" not in schemas["ProblemView"]["required"]


def test_an_answer_that_waited_is_told_from_one_that_did_not_by_its_status(document: Document) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["CreatedView"]["properties"]["status"]["const"] == "submitted"
    assert schemas["WaitedView"]["properties"]["status"]["enum"] == ["completed", "failed", "canceled"]


def test_every_answer_has_a_schema(document: Document) -> None:
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            for media_type, content in response.get("content", {}).items():
                if media_type == "application/json":
                    assert content["schema"].keys() == {"$ref"}, (name, status)


def test_headers_are_named_where_they_are_sent(document: Document) -> None:
    paths = document["paths"]
    created = paths["/api/generate/video"]["post"]["responses"]
    assert {"Location", "Retry-After", "RateLimit", "Idempotency-Replayed"} <= created["202"]["headers"].keys()
    assert "Preference-Applied" in created["200"]["headers"]
    assert {"ETag", "Retry-After"} <= paths["/api/jobs/{job_id}"]["get"]["responses"]["304"]["headers"].keys()
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            assert "X-Request-Id" in response["headers"], (name, status)
        refused = operation["responses"].get("429", {"headers": {"Retry-After": {}, "RateLimit": {}}})
        assert {"Retry-After", "RateLimit"} <= refused["headers"].keys(), name


@pytest.mark.parametrize("path", ["/api/events", "/api/jobs/{job_id}/events"])
def test_streams_say_which_events_they_send(document: Document, path: str) -> None:
    stream = document["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]
    events = {
        event["properties"]["event"]["const"]: event["properties"]["data"]["contentSchema"]["$ref"].rpartition("/")[2]
        for event in stream["itemSchema"]["oneOf"]
    }
    assert events == {"job.updated": "JobView", "job.progress": "ProgressView"}


def test_document_says_whose_it_is_and_where() -> None:
    there = Settings(
        environment=Environment.DEVELOPMENT,
        _env_file=None,
        app_url="https://reelay.example",
        fal_webhook_secret="s" * 32,
    )
    document = create_app(there).openapi()
    assert document["servers"] == [{"url": "https://reelay.example"}]
    assert document["info"]["license"]["identifier"] == "Apache-2.0"
    used = {tag for _, operation in operations(document) for tag in operation["tags"]}
    assert {tag["name"] for tag in document["tags"]} == used
