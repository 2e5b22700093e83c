"""A new job from one that failed or was canceled: with its input, or with changes to it."""

from collections.abc import Mapping
from typing import Any

from api.generations.create import JobSpec, model_of
from api.generations.references import ModelInput
from api.generations.schemas import CreateRequest, FallbackRequest, RetryRequest
from api.services import Services
from reelay.catalog.model import Model
from reelay.db.generations import CANDIDATES
from reelay.db.tables import GenerationJob
from reelay.domain.generation import Candidate


async def retry_spec(services: Services, row: GenerationJob, body: RetryRequest) -> JobSpec:
    """Raises: InvalidParams, ServiceUnavailable."""
    first, *others = CANDIDATES.validate_python(row.candidates) if row.candidates else [row]
    earlier = await model_of(services, first)
    model, inputs = changed(services, earlier, first, row.input_params, body.input)
    fallbacks = [await changed_fallback(services, each, row.input_params, body.input) for each in others]
    is_priced = model.price is not None and model.price.foreseeable
    request = CreateRequest(
        campaign_id=row.campaign_id,
        clip_id=row.clip_id,
        priority=row.priority,
        confirm=body.confirm or not body.input,
        max_cost_cents=None if is_priced else row.estimated_cost_cents,
        metadata=row.metadata_,
        fallbacks=fallbacks,
        hedge_after_seconds=row.hedge_after_seconds,
        max_extra_cents=None if row.hedge_after_seconds is None else row.estimated_cost_cents,
        webhook_url=row.webhook_url,
    )
    shown = earlier.with_changes(row.input_params, body.input)
    inherits_from = row.id if row.may_leave_result and not body.input else None
    return JobSpec(model=model, inputs=inputs, request=request, shown_input=shown, inherits_from=inherits_from)


def changed(
    services: Services,
    model: Model,
    earlier: GenerationJob | Candidate,
    given: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> ModelInput:
    """What was sent, with the changes. A first frame that comes or goes makes it another model of the same name, for
    which what the caller had not `given` is left out unless that model admits it."""
    inputs = model.with_changes(earlier.arguments, changes)
    sibling = services.catalog.sibling(model, earlier.arguments, inputs)
    if sibling is model:
        return model, inputs
    defaults = {
        item.name: inputs.pop(item.provider_name)
        for item in model.inputs.values()
        if item.provider_name in inputs.keys() - changes.keys() and not item.given_in(given)
    }
    return sibling, sibling.with_defaults(inputs, defaults)


async def changed_fallback(
    services: Services, earlier: GenerationJob | Candidate, given: Mapping[str, Any], changes: Mapping[str, Any]
) -> FallbackRequest:
    """With the changes that it takes. Raises: InvalidParams, ServiceUnavailable."""
    model, inputs = changed(services, await model_of(services, earlier), earlier, given, changes)
    foreign = changes.keys() & set(model.unknown_in(inputs))
    return FallbackRequest(model=model.endpoint, input={name: inputs[name] for name in inputs if name not in foreign})
