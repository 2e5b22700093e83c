"""The catalogue, and the price of one request."""

from fastapi import APIRouter

from api.catalog.schemas import Estimate, ModelList, ModelView
from api.generations.create import arguments_and_price, resolve_model
from api.generations.schemas import JobRequest
from api.identity.dependencies import CurrentCaller
from api.services import ServicesDep
from reelay.catalog.model import JobKind
from reelay.catalog.timing import timing_of
from reelay.providers.registry import can_submit

router = APIRouter(prefix="/api", tags=["models"])


@router.get("/models")
async def list_models(services: ServicesDep) -> ModelList:
    """Every model with its inputs, limits and price, whether its provider is set up here, and whether it is its kind's
    default."""
    defaults = {services.catalog.choose(kind).name for kind in JobKind}
    models = services.catalog.models
    return ModelList(
        data=[
            ModelView.model_validate(
                {
                    **model.describe(),
                    "available": can_submit(services.settings, model.provider, model.endpoint),
                    "isDefault": model.name in defaults,
                }
            )
            for model in models
        ]
    )


@router.post("/estimate")
async def estimate(body: JobRequest, _: CurrentCaller, services: ServicesDep) -> Estimate:
    """What the request would cost, without creating anything."""
    inputs = body.inputs()
    model = resolve_model(services, None, body.model_name, inputs)
    _arguments, cents = arguments_and_price(services.settings, model, inputs)
    expected = timing_of(model, services.settings).expected
    return Estimate(model=model.name, estimated_cost_cents=cents, estimated_seconds=int(expected.total_seconds()))
