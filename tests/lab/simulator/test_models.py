"""The simulator's models are the catalogue's."""

import pytest

from lab.simulator.models import MODELS
from reelay.catalog.loader import load_catalog
from reelay.catalog.model import Model

SENT_NOTHING = {"studio/push"}
"""The backend starts these by itself."""


@pytest.mark.parametrize("model", load_catalog().models, ids=lambda model: model.endpoint)
def test_every_endpoint_of_the_catalogue_is_simulated_with_all_its_inputs(model: Model) -> None:
    assert (model.endpoint in MODELS) is (model.endpoint not in SENT_NOTHING)
    if model.endpoint in MODELS:
        assert {item.provider_name for item in model.inputs.values()} <= MODELS[model.endpoint].model_fields.keys()
