"""Every provider's models by endpoint."""

from collections.abc import Mapping

from lab.simulator import fal_catalogue, replicate_models, studio_models
from lab.simulator.model_input import ModelInput
from lab.simulator.requests import SimulatedRequest

MODELS: Mapping[str, type[ModelInput]] = {**fal_catalogue.MODELS, **replicate_models.MODELS, **studio_models.MODELS}


def input_of(request: SimulatedRequest) -> ModelInput:
    """Raises: pydantic.ValidationError."""
    return MODELS[request.endpoint].model_validate(request.input)
