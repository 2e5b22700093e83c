"""What goes through Temporal: the types of all payloads, an example of each, and what a change of one breaks."""

import inspect
import json
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import TypeAdapter
from temporalio.api.common.v1 import Payload

from activities.archive import ArchiveActivities
from activities.bill import BillActivities
from activities.conclusion import ConclusionActivities
from activities.endpoints import EndpointActivities
from activities.housekeeping import HousekeepingActivities
from activities.mixing import MixActivities
from activities.pipelines import PipelineActivities
from activities.polling import PollingActivities
from activities.reconciliation import ReconciliationActivities
from activities.submission import SubmissionActivities
from workflows.bill import BillReconciliationWorkflow
from workflows.converter import data_converter
from workflows.endpoints import EndpointWorkflow
from workflows.generation import GenerationWorkflow
from workflows.housekeeping import HousekeepingWorkflow
from workflows.pipeline import PipelineWorkflow
from workflows.reconciliation import ReconciliationWorkflow

Schema = dict[str, Any]
CLASSES = (
    GenerationWorkflow,
    ReconciliationWorkflow,
    EndpointWorkflow,
    SubmissionActivities,
    PollingActivities,
    ArchiveActivities,
    ConclusionActivities,
    ReconciliationActivities,
    EndpointActivities,
    HousekeepingWorkflow,
    HousekeepingActivities,
    PipelineWorkflow,
    PipelineActivities,
    MixActivities,
    BillReconciliationWorkflow,
    BillActivities,
)
KINDS = {
    "__temporal_workflow_run": "workflow",
    "__temporal_signal_definition": "signal",
    "__temporal_query_definition": "query",
    "__temporal_update_definition": "update",
    "__temporal_activity_definition": "activity",
}
"""By the SDK's marks of methods: it has no call that lists them."""
WORKFLOW = "__temporal_workflow_definition"
VALUES: dict[Any, Any] = {
    str: "a word",
    int: 1,
    float: 1.5,
    bool: True,
    Decimal: Decimal("0.5"),
    UUID: UUID(int=1),
    timedelta: timedelta(seconds=90),
    datetime: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    Any: "anything",
}


def payload_types() -> dict[str, Any]:
    """By what Temporal calls them: `activity submit: argument`, `query status: result`."""
    found = {}
    for each in CLASSES:
        for mark, kind in KINDS.items():
            for _, method in inspect.getmembers(each, lambda member, mark=mark: hasattr(member, mark)):
                definition = vars(each)[WORKFLOW] if kind == "workflow" else getattr(method, mark)
                hints = get_type_hints(method)
                result = hints.pop("return")
                (argument,) = hints.values() or (NoneType,)
                found[f"{kind} {definition.name}: argument"] = argument
                found[f"{kind} {definition.name}: result"] = result
    return {name: kind for name, kind in found.items() if kind is not NoneType}


def example(kind: Any, *, full: bool) -> Any:
    """A value with every field that it can have, or with none that it can do without."""
    if kind in VALUES:
        return VALUES[kind]
    match get_origin(kind), get_args(kind):
        case (origin, inner) if origin in (Union, UnionType):
            return example(inner[0], full=full) if full or NoneType not in inner else None
        case (origin, inner) if origin in (list, tuple, frozenset):
            return origin([example(inner[0], full=full)] * full)
        case (origin, inner) if origin is dict:
            return {example(inner[0], full=full): example(inner[1], full=full)} if full else {}
    if issubclass(kind, StrEnum):
        return next(iter(kind))
    assert is_dataclass(kind), f"no example of {kind}: add one to VALUES"
    assert isinstance(kind, type)
    hints = get_type_hints(kind)
    return kind(
        **{
            field.name: example(hints[field.name], full=full)
            for field in fields(kind)
            if full or (field.default is MISSING and field.default_factory is MISSING)
        }
    )


def written_today(kind: Any) -> list[Any]:
    """The JSON of the examples. None is no JSON: Temporal has an encoding of its own for it."""
    values = [example(kind, full=full) for full in (True, False)]
    return [json.loads(encoded(value)) for value in values if value is not None]


def encoded(value: object) -> str:
    """As the payload's bytes: JSON."""
    return data_converter.payload_converter.to_payload(value).data.decode()


def decoded(text: str, kind: Any) -> Any:
    """Raises: what the data converter does."""
    payload = Payload(metadata={"encoding": b"json/plain"}, data=text.encode())
    return data_converter.payload_converter.from_payload(payload, kind)


def schema_of(kind: Any) -> Schema:
    """What decodes as it."""
    schema: Schema = _without_prose(TypeAdapter(kind).json_schema(mode="validation"))
    return schema


def _without_prose(schema: Any) -> Any:
    match schema:
        case dict():
            prose = {name for name in ("title", "description") if isinstance(schema.get(name), str)}
            return {name: _without_prose(part) for name, part in schema.items() if name not in prose}
        case list():
            return [_without_prose(part) for part in schema]
        case _:
            return schema


def broken_by(today: Schema, released: Schema) -> Iterator[str]:
    """What the release wrote and today's type does not read, or the other way round."""
    yield from _broken("it", _without_defs(today), _without_defs(released))
    for name, old in released.get("$defs", {}).items():
        if (new := today.get("$defs", {}).get(name)) is None:
            yield f"{name}: it is gone"
        else:
            yield from _broken(name, new, old)


def _without_defs(schema: Schema) -> Schema:
    return {name: part for name, part in schema.items() if name != "$defs"}


def _broken(name: str, today: Schema, released: Schema) -> Iterator[str]:
    if "enum" in released and "enum" in today:
        for member in sorted(set(released["enum"]) - set(today["enum"])):
            yield f"{name}: the member {member!r} is gone"
    elif "properties" in released and "properties" in today:
        yield from _broken_fields(name, today, released)
    elif today != released:
        yield f"{name}: it was {json.dumps(released)} and is {json.dumps(today)}"


def _broken_fields(name: str, today: Schema, released: Schema) -> Iterator[str]:
    old, new = released["properties"], today["properties"]
    for field in old:
        if field not in new:
            yield f"{name}.{field}: it is gone"
        elif _type_of(new[field]) != _type_of(old[field]):
            yield f"{name}.{field}: it was {json.dumps(old[field])} and is {json.dumps(new[field])}"
    for field in set(today.get("required", [])) - set(released.get("required", [])):
        yield f"{name}.{field}: it has to be there, and the release does not write it. Give it a default"


def _type_of(field: Schema) -> Schema:
    return {name: part for name, part in field.items() if name != "default"}
