"""The OpenAPI document: FastAPI's own, with our problems in the place of its errors, and with response headers."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.http.problems import SCHEMAS, ProblemView, problems
from api.http.query_parameters import is_strict

PAGE = "/docs"
ASSETS = "/docs/assets"
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
METHODS = {"get", "post", "put", "patch", "delete"}
FASTAPIS_ERRORS = ("HTTPValidationError", "ValidationError")
HEADERS = "#/components/headers/"
RESPONSE_HEADERS = {
    "X-Request-Id": "The id of this request in the logs of the service.",
    "Location": "The address of the job, or of the file.",
    "Retry-After": "After how many seconds it is worth asking again.",
    "RateLimit": "What is left of the quota, and for how long (draft-ietf-httpapi-ratelimit-headers-10).",
    "RateLimit-Policy": "The quota and its window (draft-ietf-httpapi-ratelimit-headers-10).",
    "Idempotency-Replayed": "`true` where the answer is that of an earlier request with the same key.",
    "Preference-Applied": "`wait=N` where the request preferred to wait.",
    "ETag": "What `If-None-Match` takes.",
    "WWW-Authenticate": "How to authenticate.",
    "Content-Range": "Which bytes of the file these are.",
}
ALWAYS = {"X-Request-Id", "WWW-Authenticate", "ETag", "Content-Range"}
"""Where the document names one of these, it is never missing."""


class DocumentedApi(FastAPI):
    def __init__(self, *, also: Sequence[type[BaseModel]] = (), **options: Any) -> None:
        """`also`: schemas that no route returns by itself."""
        super().__init__(**options)
        self._also: list[type[BaseModel]] = [ProblemView, *also]

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = completed(super().openapi(), self._also)
        return self.openapi_schema


def serve_documentation(app: FastAPI) -> None:
    """The page at `/docs`. FastAPI's own loads its script from a CDN; this one comes from a package."""
    app.mount(ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]))

    page = get_swagger_ui_html(
        openapi_url=relative(app.openapi_url or ""),
        title=app.title,
        swagger_js_url=relative(f"{ASSETS}/swagger-ui-bundle.js"),
        swagger_css_url=relative(f"{ASSETS}/swagger-ui.css"),
        swagger_favicon_url=relative(f"{ASSETS}/favicon.png"),
    )
    page.headers["content-security-policy"] = documentation_policy(bytes(page.body).decode())
    page.headers["referrer-policy"] = "no-referrer"

    @app.get(PAGE, include_in_schema=False)
    async def documentation() -> HTMLResponse:
        return HTMLResponse(page.body, headers=dict(page.headers))


def relative(address: str) -> str:
    """As the page names it, which stands below the public address's path."""
    return address.removeprefix("/")


def documentation_policy(page: str) -> str:
    """Its own scripts alone: the origin is that of our page, which keeps the user's key."""
    inline = [b64encode(sha256(script.encode()).digest()).decode() for script in INLINE_SCRIPT.findall(page)]
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in inline)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def with_headers(*names: str) -> dict[str, Any]:
    """For a response of a route."""
    return {"headers": {name: {"$ref": HEADERS + name} for name in names}}


def completed(document: dict[str, Any], also: Sequence[type[BaseModel]]) -> dict[str, Any]:
    """Every operation with the problems and headers of its shape, beside those that its route declares."""
    schemas = document["components"]["schemas"]
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            operation = item[method]
            responses = operation["responses"]
            responses |= {str(code): problem for code, problem in problems(*problems_of(path, operation)).items()}
            for status, response in responses.items():
                names = headers_of(int(status), operation)
                response["headers"] = with_headers(*names)["headers"] | response.get("headers", {})
            for body in operation.get("requestBody", {}).get("content", {}).values():
                tell_defaults(schemas.get(body["schema"].get("$ref", "").removeprefix(SCHEMAS), {}))
    for name in FASTAPIS_ERRORS:
        schemas.pop(name, None)
    _, ours = models_json_schema([(model, "serialization") for model in also], ref_template=SCHEMAS + "{model}")
    schemas |= ours["$defs"] | {"JsonValue": {"description": "Any JSON value."}}
    document["components"]["headers"] = {
        name: {"description": description, "required": name in ALWAYS, "schema": {"type": "string"}}
        for name, description in RESPONSE_HEADERS.items()
    }
    return document


def problems_of(path: str, operation: dict[str, Any]) -> Iterator[HTTPStatus]:
    if "security" in operation:
        yield HTTPStatus.UNAUTHORIZED
        yield HTTPStatus.TOO_MANY_REQUESTS
    if "{" in path:
        yield HTTPStatus.NOT_FOUND
    if "requestBody" in operation:
        yield HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if "422" in operation["responses"] or is_strict(path):
        yield HTTPStatus.UNPROCESSABLE_ENTITY
    if path.startswith("/api/"):
        yield HTTPStatus.SERVICE_UNAVAILABLE


def headers_of(status: int, operation: dict[str, Any]) -> Iterator[str]:
    yield "X-Request-Id"
    match status:
        case HTTPStatus.UNAUTHORIZED if "security" in operation:
            yield "WWW-Authenticate"
        case HTTPStatus.TOO_MANY_REQUESTS:
            yield from ("Retry-After", "RateLimit", "RateLimit-Policy")
        case HTTPStatus.SERVICE_UNAVAILABLE:
            yield "Retry-After"


def tell_defaults(body: dict[str, Any]) -> None:
    """In the description: to generators of clients a default means that the field is always there."""
    for field in body.get("properties", {}).values():
        default = field.pop("default", None)
        if default is not None:
            field["description"] += f" Default: `{json.dumps(default)}`."
