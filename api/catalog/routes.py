"""The catalogue, and the price of one request."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from api.catalog.schemas import Estimate, ModelDetail, ModelList, ModelView
from api.generations.create import (
    JobSpec,
    find_model,
    hedge_after_seconds,
    most_cents,
    prices_of,
    resolve_model,
    with_fallbacks,
)
from api.generations.schemas import JobRequest
from api.http.problems import InvalidParams, NotFound, problems
from api.http.wire import Text
from api.identity.dependencies import CurrentCaller
from api.services import ServicesDep
from reelay.catalog.model import JobKind
from reelay.catalog.timing import timing_of

router = APIRouter(prefix="/api", tags=["models"])


@router.get("/models")
async def list_models(services: ServicesDep) -> ModelList:
    """Every model with its inputs, limits and price, whether its provider is set up here, and whether it is its kind's
    default."""
    defaults = {services.catalog.choose(kind).name for kind in JobKind}
    return ModelList(
        data=[ModelView.from_model(model, services.settings, defaults) for model in services.catalog.models]
    )


@router.get("/models/{name:path}", responses=problems(HTTPStatus.NOT_FOUND))
async def read_model(
    name: Annotated[Text, Path(description="A model's name, or the id of any endpoint of fal.")],
    _: CurrentCaller,
    services: ServicesDep,
) -> ModelDetail:
    """One model with the schema of its input. For an endpoint that the catalogue does not know: as its provider
    describes it."""
    try:
        model = await find_model(services, name, {})
    except InvalidParams as unknown:
        raise NotFound(unknown.errors[0]["message"]) from unknown
    return ModelDetail.from_model(model, services.settings, {services.catalog.choose(kind).name for kind in JobKind})


@router.post("/estimate", responses=problems(HTTPStatus.CONFLICT))
async def estimate(body: JobRequest, _: CurrentCaller, services: ServicesDep) -> Estimate:
    """What the request would hold of the credits, with its fallbacks and its hedge, without creating anything."""
    inputs = body.inputs()
    model = await resolve_model(services, None, body.model_name, inputs)
    spec = await with_fallbacks(services, JobSpec(model=model, inputs=inputs, request=body))
    prices = list(prices_of(services.settings, spec))
    is_hedged = hedge_after_seconds(prices, body) is not None
    return Estimate(
        model=model.name,
        estimated_cost_cents=most_cents(prices, is_hedged=is_hedged),
        estimated=any(
            each.price is None or each.price.estimated or not each.price.foreseeable for each, _ in spec.models
        ),
        estimated_seconds=int(timing_of(model, services.settings).expected.total_seconds()),
        hedge_model=spec.fallbacks[0][0].name if is_hedged else None,
    )
