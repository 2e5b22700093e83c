"""The OpenAPI document: FastAPI's own, with our problems in the place of its errors."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from pydantic.json_schema import models_json_schema

from api.http.problems import SCHEMAS, ProblemView, problems
from api.http.query_parameters import is_strict

PAGE = "/docs"
ASSETS = "/docs/assets"
METHODS = {"get", "post", "put", "patch", "delete"}
FASTAPIS_ERRORS = ("HTTPValidationError", "ValidationError")


class DocumentedApi(FastAPI):
    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = with_problems(super().openapi())
        return self.openapi_schema


def serve_documentation(app: FastAPI) -> None:
    """The page at `/docs`. FastAPI's own loads its script from a CDN; this one comes from a package."""
    app.mount(ASSETS, StaticFiles(packages=[("fastapi_offline", "static")]))

    @app.get(PAGE, include_in_schema=False)
    async def documentation() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=app.openapi_url or "",
            title=app.title,
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
        )


def with_problems(document: dict[str, Any]) -> dict[str, Any]:
    """Every operation with the problems that its shape brings along, beside those that its route declares."""
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            responses = item[method]["responses"]
            responses |= {str(code): problem for code, problem in problems(*brought_along(path, item[method])).items()}
    schemas = document["components"]["schemas"]
    for name in FASTAPIS_ERRORS:
        schemas.pop(name, None)
    _, ours = models_json_schema([(ProblemView, "serialization")], ref_template=SCHEMAS + "{model}")
    schemas |= ours["$defs"]
    return document


def brought_along(path: str, operation: dict[str, Any]) -> Iterator[HTTPStatus]:
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
