"""fal's endpoints as its official client types them, turned into the documents that fal publishes, and examples."""

import json
from collections.abc import Iterator
from typing import Any

from tests.node import FAL_TYPES, run_node

Schema = dict[str, Any]
TYPES = "node_modules/@fal-ai/client/src/types/endpoints.d.ts"
DEFINITION = "#/definitions/"
ADDRESS = "https://example.com/"
DEEPEST = 8


def read_corpus() -> tuple[dict[str, Schema], Schema]:
    """The document of each endpoint by its id, and all schemas that they refer to by name."""
    generated = json.loads(
        run_node(
            "ts-json-schema-generator", "--path", TYPES, "--type", "EndpointTypeMap", "--no-type-check",
            packages=FAL_TYPES,
        )
    )  # fmt: skip
    definitions = generated["definitions"]
    endpoints = definitions.pop("EndpointTypeMap")["properties"]
    schemas = {name: _as_openapi(schema) for name, schema in definitions.items()}
    documents = {}
    for endpoint, types in endpoints.items():
        parts = types["properties"] if "properties" in types else definitions[_name(types)]["properties"]
        documents[endpoint] = _document(endpoint, _as_openapi(parts["input"]), _as_openapi(parts["output"]), schemas)
    return documents, schemas


def _document(endpoint: str, taken: Schema, made: Schema, schemas: Schema) -> Schema:
    def content(schema: Schema) -> Schema:
        return {"content": {"application/json": {"schema": schema}}}

    return {
        "openapi": "3.0.4",
        "components": {"schemas": schemas},
        "paths": {
            f"/{endpoint}": {"post": {"requestBody": content(taken)}},
            f"/{endpoint}/requests/{{request_id}}": {"get": {"responses": {"200": content(made)}}},
        },
    }


def _name(reference: Schema) -> str:
    return str(reference["$ref"]).removeprefix(DEFINITION)


def _as_openapi(schema: Any) -> Any:
    """With the references of an OpenAPI document."""
    if isinstance(schema, list):
        return [_as_openapi(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: f"#/components/schemas/{value.removeprefix(DEFINITION)}" if key == "$ref" else _as_openapi(value)
        for key, value in schema.items()
    }


class Examples:
    """Values that fit a schema: as little as it takes, or with everything that it knows."""

    def __init__(self, schemas: Schema, *, full: bool) -> None:
        self._schemas = schemas
        self._full = full
        self.files: list[str] = []
        """The addresses of the files in the examples that were made so far."""

    def of(self, schema: Schema, levels: int = DEEPEST) -> Any:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self.of(self._schemas[name], levels - 1)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        for key in ("anyOf", "oneOf", "allOf"):
            if key in schema:
                return self.of(self._first(schema[key]), levels)
        kind = schema.get("type")
        match kind[0] if isinstance(kind, list) else kind:
            case "object":
                return self._object(schema, levels)
            case "array":
                item = schema.get("items", {})
                items = item if isinstance(item, list) else [item] * schema.get("minItems", 1)
                return [self.of(each, levels - 1) for each in items] if levels > 0 else []
            case "string":
                return "a text"
            case "number" | "integer":
                return 1
            case "boolean":
                return True
            case "null":
                return None
        return {}

    def _first(self, forms: list[Schema]) -> Schema:
        return next((form for form in forms if form.get("type") != "null"), forms[0])

    def _object(self, schema: Schema, levels: int) -> Any:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        wanted = [name for name in properties if name in required or (self._full and levels > 0)]
        made = {name: self.of(properties[name], levels - 1) for name in wanted}
        if "url" in made and isinstance(made["url"], str):
            made["url"] = f"{ADDRESS}{len(self.files)}.bin"
            self.files.append(made["url"])
        if isinstance(more := schema.get("additionalProperties"), dict) and levels > 0:
            made["a_name"] = self.of(more, levels - 1)
        return made


def wrong(schema: Schema, schemas: Schema) -> Iterator[tuple[str, Any]]:
    """Inputs that the schema does not take, one at a time: by its name, and a value that is wrong there."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    for name, part in schema.get("properties", {}).items():
        match part.get("type"):
            case "boolean" | "number" | "integer" | "array":
                yield name, "not this"
            case "string":
                yield name, 3
