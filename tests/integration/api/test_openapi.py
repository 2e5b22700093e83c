"""The OpenAPI document: complete, unambiguous, and true about errors."""

import json
import re
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from lab.simulator.settings import REPLICATE_WEBHOOK_SECRET
from reelay.providers import fal_webhook, replicate_webhook, studio_push
from reelay.providers.errors import Malformed
from tests.document import openapi_document
from tests.running import Service
from tests.unit.providers.signing import NOW, signed

Operation = dict[str, Any]
SECRET = Webhook(REPLICATE_WEBHOOK_SECRET)
OPEN_TO_ALL = {
    "/api/models",
    "/healthz",
    "/metrics",
    "/readyz",
    "/api/webhooks/fal",
    "/api/webhooks/replicate",
    "/api/webhooks/video-completion",
}
CREATING = {
    *(f"/api/generate/{kind}" for kind in ("video", "first-frame", "voice", "ambient", "transcribe")),
    "/api/jobs",
    "/api/jobs/{job_id}/retry",
    "/api/admin/jobs/{job_id}/retry",
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, Operation]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from references(inner)


def test_every_operation_is_described_under_an_id_of_its_own(document: dict[str, Any]) -> None:
    found = list(operations(document))

    assert all(operation["summary"] and operation["description"] for _, _, operation in found)
    ids = [operation["operationId"] for _, _, operation in found]
    assert len(ids) == len(set(ids))
    assert all(operation_id.isidentifier() for operation_id in ids)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    addresses = set(references(document["paths"])) | set(references(document["components"]))

    for address in addresses:
        _, components, kind, name = address.split("/")
        assert name in document[components][kind], address
    assert not {"HTTPValidationError", "ValidationError"} & document["components"]["schemas"].keys()


def test_what_needs_a_key_says_so(document: dict[str, Any]) -> None:
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    without = {path for _, path, operation in operations(document) if not operation.get("security")}
    assert without <= OPEN_TO_ALL


def test_errors_are_problems_everywhere(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        for code, response in operation["responses"].items():
            if code >= "400" and path.startswith("/api/"):
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ProblemView"}, (method, path, code)
                assert response["description"]
    required = set(document["components"]["schemas"]["ProblemView"]["required"])
    assert required == {"type", "title", "status", "detail", "code", "error", "errors"}


def test_each_operation_names_the_errors_that_it_can_answer(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        told = operation["responses"].keys()
        expected = {"503"} if path.startswith("/api/") else set()
        expected |= {"401"} if operation.get("security") else set()
        expected |= {"404", "422"} if "{" in path else set()
        expected |= {"413", "400" if "/webhooks/" in path else "422"} if "requestBody" in operation else set()
        expected |= {"402", "409"} if method == "post" and path in CREATING else set()
        assert expected <= told, (method, path)


def test_creating_calls_answer_202_or_the_finished_job(document: dict[str, Any]) -> None:
    for path in CREATING:
        responses = document["paths"][path]["post"]["responses"]
        schemas = {code: responses[code]["content"]["application/json"]["schema"] for code in ("200", "202")}
        assert schemas["202"] == {"$ref": "#/components/schemas/CreatedView"}
        assert schemas["200"] == {"$ref": "#/components/schemas/WaitedView"}
        headers = {parameter["name"] for parameter in document["paths"][path]["post"]["parameters"]}
        assert {"idempotency-key", "prefer"} <= headers


def test_reports_are_described_as_they_are_read(document: dict[str, Any]) -> None:
    key = Ed25519PrivateKey.generate()
    headers = {"webhook-id": "m", "webhook-timestamp": str(int(NOW.timestamp()))}

    def read_fal(body: bytes) -> None:
        sent = signed(body, key=key, request_id=json.loads(body).get("request_id", "x"))
        fal_webhook.verify(fal_webhook.parse(sent, body), [key.public_key()])

    def read_replicate(body: bytes) -> None:
        signature = SECRET.sign("m", NOW, body.decode())
        prediction = replicate_webhook.parse({**headers, "webhook-signature": signature}, body)
        replicate_webhook.verify(prediction, [SECRET])

    readers = {"fal": read_fal, "replicate": read_replicate, "video-completion": studio_push.read_push}
    for name, read in readers.items():
        described = document["paths"][f"/api/webhooks/{name}"]["post"]["requestBody"]["content"]["application/json"]
        schema, example = described["schema"], described["example"]
        needed = {*schema["required"], *schema.get("then", {}).get("required", ())}
        assert needed <= example.keys() <= schema["properties"].keys()
        for field in example:
            without = json.dumps({other: value for other, value in example.items() if other != field}).encode()
            with pytest.raises(Malformed) if field in needed else nullcontext():
                read(without)
        for status in schema["properties"]["status"].get("enum", ()):
            read(json.dumps({**example, "status": status}).encode())


def test_operators_own_webhook_route_is_not_told(document: dict[str, Any]) -> None:
    assert "/api/webhooks/fal" in document["paths"]
    assert "/api/fal/webhook" not in document["paths"]


async def test_the_documentation_works_without_the_internet(patient_service: Service) -> None:
    page = await patient_service.client.get("/docs")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert addresses
    for address in addresses:
        assert not urlsplit(address).netloc, address
        assert (await patient_service.client.get(urljoin("/docs", address))).status_code == 200
