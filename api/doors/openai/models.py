"""Jobs by OpenAI's names and words, as the catalogue maps them to ours: `openai` in a model's file."""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import Request

from api.catalog.endpoints import unknown_endpoint
from api.context import RequestContext
from api.doors.errors import named_as_sent
from api.doors.headers import MOST_COST, most_cents
from api.generations.create import Created, CreateOptions, JobSpec, create_job, find_model
from api.generations.schemas import CreateRequest
from api.http.problems import InvalidParams, errors_of_the_body, field_error
from api.services import Services
from reelay.catalog.model import JobKind, Model
from reelay.domain.messages import Sentence
from reelay.domain.outgoing import WebhookFormat

SIZE = re.compile(r"(\d{2,5})x(\d{2,5})")
SENT_FOR = {"webhookUrl": "webhook_url", "maxCostCents": MOST_COST}
"""What a caller sends, by the name of our field that is made of it."""
RATIO = re.compile(r"(\d{1,2}):(\d{1,2})")


async def model_named(services: Services, name: str | None, kind: JobKind, inputs: Mapping[str, Any]) -> Model:
    """By OpenAI's name of a model, ours, or the id of an endpoint; without one the kind's default.

    Raises: InvalidParams, ServiceUnavailable.
    """
    if name is None:
        return services.catalog.choose(kind, inputs)
    ours = next((each.name for each in services.catalog.models if each.openai and name in each.openai.models), name)
    found = await find_model(services, ours, inputs)
    if found.kind is not kind:
        raise unknown_endpoint(name)
    return found


async def create_asked(
    request: Request,
    context: RequestContext,
    key: str | None,
    model: Model,
    inputs: Mapping[str, Any],
    *,
    metadata: Mapping[str, Any] = MappingProxyType({}),
    webhook_url: Any = None,
    sent_for: Mapping[str, str] = MappingProxyType({}),
) -> Created:
    """`webhook_url`: is told of the end in OpenAI's words. `sent_for`: what the caller sent, by the name of the input
    that was made of it. Raises what `create_job` does.
    """
    cents = most_cents(request.headers)
    with named_as_sent({**SENT_FOR, **sent_for}):
        with errors_of_the_body():
            wishes = CreateRequest(
                max_cost_cents=cents, confirm=cents is not None, metadata=dict(metadata), webhook_url=webhook_url
            )
        options = CreateOptions(key, 0, request.scope["route"].path)
        spec = JobSpec(model=model, inputs=inputs, request=wishes, webhook_format=WebhookFormat.OPENAI)
        return await create_job(context, options, spec)


def inputs_for_size(model: Model, size: str) -> dict[str, Any]:
    """What the model takes for `1280x720`: as its file says, else the nearest of its ratios. Raises: InvalidParams."""
    if model.openai and model.openai.sizes:
        if size not in model.openai.sizes:
            raise _wrong_size(size, list(model.openai.sizes))
        return dict(model.openai.sizes[size])
    match = SIZE.fullmatch(size)
    if match is None:
        raise _wrong_size(size, None)
    ratios = ratios_of(model)
    wanted = math.log(int(match[1]) / int(match[2]))
    return {"aspectRatio": min(ratios, key=lambda each: abs(math.log(ratios[each]) - wanted))} if ratios else {}


def ratios_of(model: Model) -> dict[str, float]:
    item = model.inputs.get("aspectRatio")
    given = getattr(item, "choices", None) or [each.ratio for each in getattr(item, "presets", ())]
    matches = {str(each): RATIO.fullmatch(str(each)) for each in given}
    return {name: int(match[1]) / int(match[2]) for name, match in matches.items() if match}


def _wrong_size(size: str, limit: list[str] | None) -> InvalidParams:
    choices = ", ".join(limit or ["WIDTHxHEIGHT"])
    error = field_error("size", Sentence("field_choice", choices=choices), size, limit)
    return InvalidParams(Sentence("input_invalid"), errors=[error])
