import pytest

from api.catalog.schemas import ModelView
from reelay.catalog.loader import load_catalog
from reelay.catalog.model import Model


@pytest.mark.parametrize("model", load_catalog().models, ids=lambda model: model.endpoint)
def test_a_model_is_shown_as_the_catalogue_describes_it(model: Model) -> None:
    described = {**model.describe(), "available": True, "isDefault": False}
    assert ModelView.model_validate(described).model_dump(mode="json", by_alias=True) == described
