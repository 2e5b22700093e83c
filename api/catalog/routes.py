"""The catalogue, and the price of one request."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path

from api.catalog.schemas import Estimate, ModelDetail, ModelList, ModelView
from api.generations.create import arguments_and_price, cents_to_hold, find_model, resolve_model
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
    """What the request would cost, without creating anything."""
    inputs = body.inputs()
    model = await resolve_model(services, None, body.model_name, inputs)
    _arguments, price = arguments_and_price(services.settings, model, inputs)
    return Estimate(
        model=model.name,
        estimated_cost_cents=cents_to_hold(price, body.max_cost_cents),
        estimated=price is None or (model.price is not None and model.price.estimated),
        estimated_seconds=int(timing_of(model, services.settings).expected.total_seconds()),
    )
