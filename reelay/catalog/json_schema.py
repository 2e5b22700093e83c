"""Schemas out of OpenAPI documents: made self-contained, and what is wrong with a value told in our sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema_rs import Draft202012Validator, FancyRegexOptions, ValidationError

from reelay.catalog.errors import Limit
from reelay.domain.messages import Sentence

Schema = Mapping[str, Any]

MAX_DEPTH = 12
"""Of nested schemas. What lies deeper, a schema that contains itself for instance, may be anything."""
MAX_NODES = 5_000
"""Of one schema with all that it refers to."""
PATTERNS = FancyRegexOptions(backtrack_limit=100_000)
"""A pattern of a stranger's costs no more time than this, whatever the text."""
REFERENCE = "#/components/schemas/"
ORDER = "x-fal-order-properties"
SCHEMAS_BY_NAME = ("properties", "patternProperties")
SCHEMAS_IN_LIST = ("anyOf", "oneOf", "allOf", "prefixItems")
SINGLE_SCHEMAS = ("items", "additionalProperties", "not")
PLAIN = frozenset(
    {
        "type", "enum", "const", "default", "description", "format", "pattern", "required",
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
        "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
    }
)  # fmt: skip
LIMITS = {
    "minimum": "min",
    "maximum": "max",
    "exclusiveMinimum": "moreThan",
    "exclusiveMaximum": "lessThan",
    "minLength": "minLength",
    "maxLength": "maxLength",
    "minItems": "minItems",
    "maxItems": "maxItems",
    "pattern": "pattern",
}
NOT_OF_TYPE = {
    "string": "field_string",
    "integer": "field_whole",
    "number": "field_numeric",
    "boolean": "field_flag",
    "array": "field_list",
    "object": "field_object",
}


class NotASchema(ValueError):
    """What a document calls a schema is none, or is too large."""


def self_contained(schema: Any, components: Schema) -> dict[str, Any]:
    """The schema with each `$ref` replaced by what it names, in the words of draft 2020-12. Raises: NotASchema."""
    return _Inliner(components).inlined(schema, MAX_DEPTH)


class _Inliner:
    def __init__(self, components: Schema) -> None:
        self._components = components
        self._nodes = 0

    def inlined(self, schema: Any, levels: int) -> dict[str, Any]:
        if schema is True:
            return {}
        if not isinstance(schema, dict):
            raise NotASchema("a schema is an object")
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise NotASchema(f"more than {MAX_NODES} schemas in one")
        if levels == 0:
            return {}
        if isinstance(name := schema.get("$ref"), str):
            target = self._components.get(name.removeprefix(REFERENCE))
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            return self.inlined(target, levels - 1) | self.inlined(beside, levels - 1)
        return _nullable(_bounds(self._parts(schema, levels - 1)), is_nullable=schema.get("nullable") is True)

    def _parts(self, schema: Schema, levels: int) -> dict[str, Any]:
        parts = {key: value for key, value in schema.items() if key in PLAIN}
        for key in SCHEMAS_BY_NAME:
            if isinstance(named := schema.get(key), dict):
                parts[key] = {name: self.inlined(named[name], levels) for name in _in_order(named, schema.get(ORDER))}
        for key in SCHEMAS_IN_LIST:
            if isinstance(listed := schema.get(key), list):
                parts[key] = [self.inlined(each, levels) for each in listed]
        for key in SINGLE_SCHEMAS:
            if isinstance(single := schema.get(key), bool):
                parts[key] = single
            elif single is not None:
                parts[key] = self.inlined(single, levels)
        return parts


def _in_order(named: Schema, order: Any) -> list[str]:
    """As the document wants its properties to be shown: Postgres keeps no order of them."""
    wanted = [name for name in order if name in named] if isinstance(order, list) else []
    return list(dict.fromkeys([*wanted, *named]))


def _bounds(schema: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI 3.0 marks a bound as exclusive beside it."""
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(mark := schema.get(exclusive), bool):
            del schema[exclusive]
            if mark and bound in schema:
                schema[exclusive] = schema.pop(bound)
    return schema


def _nullable(schema: dict[str, Any], *, is_nullable: bool) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]} if is_nullable else schema


def validator_of(schema: Schema) -> Draft202012Validator:
    """It fetches nothing. Raises: NotASchema."""
    try:
        return Draft202012Validator(dict(schema), offline=True, pattern_options=PATTERNS)
    except (ValueError, ValidationError) as error:
        raise NotASchema(str(error).splitlines()[0]) from error


def problems_of(validator: Draft202012Validator, value: Any) -> Iterator[tuple[str, str, Limit, Any]]:
    """What is wrong in the value: where (`[0].url`, or nothing for the value itself), a sentence, the limit, the part
    at fault."""
    for error in validator.iter_errors(value):
        for told in _told(error):
            where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in told.instance_path)
            yield where, *_sentence_and_limit(told), told.instance


def _told(error: ValidationError) -> list[ValidationError]:
    """Of alternatives, the errors of the one that was meant: that which fits the value's type, if there is one."""
    if error.kind.name not in ("anyOf", "oneOf") or not (branches := getattr(error.kind, "context", None)):
        return [error]
    depth = len(error.instance_path)
    meant = [
        branch
        for branch in branches
        if not any(each.kind.name == "type" and len(each.instance_path) == depth for each in branch)
    ]
    if len(meant) == 1:
        return [told for each in meant[0] for told in _told(each)]
    others = [branch for branch in branches if not _is_null(branch)]
    return [told for each in others[0] for told in _told(each)] if len(others) == 1 else [error]


def _is_null(branch: list[ValidationError]) -> bool:
    return any(each.kind.name == "type" and each.kind.as_dict()["types"] == ["null"] for each in branch)


def _sentence_and_limit(error: ValidationError) -> tuple[str, Limit]:
    kind: Any = error.kind  # each keyword's has attributes of its own
    name, limit = kind.name, getattr(kind, "value", None)
    bound: Limit = {LIMITS[name]: limit} if name in LIMITS else None
    match name:
        case "enum":
            return Sentence("field_choice", choices=", ".join(map(str, kind.options))), list(kind.options)
        case "const":
            return Sentence("field_choice", choices=str(kind.expected_value)), [kind.expected_value]
        case "type" if len(types := [each for each in kind.types if each != "null"]) == 1 and types[0] in NOT_OF_TYPE:
            return Sentence(NOT_OF_TYPE[types[0]]), {"type": types[0]}
        case "minimum":
            return Sentence("field_at_least", least=limit), bound
        case "maximum":
            return Sentence("field_at_most", most=limit), bound
        case "exclusiveMinimum":
            return Sentence("field_more_than", least=limit), bound
        case "exclusiveMaximum":
            return Sentence("field_less_than", most=limit), bound
        case "minLength":
            return Sentence("field_shorter_than", least=limit), bound
        case "maxLength":
            return Sentence("field_longer_than", most=limit), bound
        case "minItems":
            return Sentence("field_items_at_least", least=limit), bound
        case "maxItems":
            return Sentence("field_items_at_most", most=limit), bound
        case "pattern":
            return Sentence("field_pattern", pattern=limit), bound
        case "required":
            return Sentence("field_part_required", part=kind.property), None
        case "additionalProperties":
            return Sentence("field_part_unknown", part=", ".join(kind.unexpected)), None
        case _:
            return Sentence("field_schema", schema=error.message[:200]), bound
