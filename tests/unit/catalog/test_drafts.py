"""Catalogue files out of endpoints' documents, and what has become of them since."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lab.simulator.fal_catalogue import ENDPOINTS
from lab.simulator.fal_documents import document_of
from reelay.catalog.catalog import Catalog
from reelay.catalog.drafts import draft_of, name_of
from reelay.catalog.drift import drift_of
from reelay.catalog.endpoints import Endpoint, UnitPrice, model_of
from reelay.catalog.loader import Aliases, read_models
from reelay.catalog.model import Model

KLING = "fal-ai/kling-video/v2.5-turbo/pro/image-to-video"


def published(endpoint: str, **changes: Any) -> tuple[Endpoint, UnitPrice]:
    listed = ENDPOINTS[endpoint]
    price = UnitPrice(cents=Decimal(str(listed.unit_price)) * 100, unit=listed.unit)
    return Endpoint(id=endpoint, openapi=document_of(endpoint), category=listed.model.category, **changes), price


def drafted(endpoint: str, folder: Path) -> Model:
    path = folder / f"{name_of(endpoint)}.toml"
    path.write_text(draft_of(model_of(*published(endpoint)), date(2026, 11, 30)))
    (model,) = read_models(path, Aliases(names={}, lists={}))
    return model


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_draft_is_a_catalogue_file_without_drift(endpoint: str, tmp_path: Path) -> None:
    model = drafted(endpoint, tmp_path)
    described, price = published(endpoint)
    assert drift_of(model, described, price) == []
    assert (model.endpoint, model.outputs) == (endpoint, model_of(described, price).outputs)


def test_a_draft_has_the_names_and_kinds_that_callers_know(tmp_path: Path) -> None:
    model = drafted(KLING, tmp_path)
    assert (model.name, model.takes_first_frame) == ("kling-video-v2.5-turbo-pro-image-to-video", True)
    assert {name: item.kind for name, item in model.inputs.items()} == {
        "prompt": "text",
        "duration": "duration",
        "negativePrompt": "text",
        "cfgScale": "number",
        "firstFrameUrl": "url",
        "tailImageUrl": "url",
    }
    words = {"prompt": "a", "duration": 10, "firstFrameUrl": "https://example.com/a.png"}
    assert model.arguments(words)["duration"] == "10"
    assert model.price_cents(model.arguments(words)) == 70


def test_what_has_changed_is_named(catalog: Catalog) -> None:
    kling = catalog.find(KLING)
    endpoint, price = published(KLING)
    schema = {**endpoint.openapi["components"]["schemas"]["KlingFromImageInput"]}
    properties = {**schema["properties"], "duration": {"enum": ["10", "15"]}, "camera": {"type": "string"}}
    del properties["tail_image_url"]
    schemas = {**endpoint.openapi["components"]["schemas"]}
    schemas["KlingFromImageInput"] = {**schema, "properties": properties, "required": [*schema["required"], "camera"]}
    changed = Endpoint(id=KLING, openapi={**endpoint.openapi, "components": {"schemas": schemas}}, is_deprecated=True)
    assert drift_of(kling, changed, price) == [
        "it is deprecated",
        "camera is required",
        "duration does not take 5, 5",
        "tail_image_url is no input of it",
    ]
    assert drift_of(kling, None, None) == ["the endpoint is gone"]


def test_another_price_of_the_same_unit_is_named(catalog: Catalog) -> None:
    veo = catalog.find("veo3.1")
    endpoint, _ = published(veo.endpoint)
    dear, other = UnitPrice(cents=Decimal(55), unit="Seconds"), UnitPrice(cents=Decimal(55), unit="videos")
    assert [line for line in drift_of(veo, endpoint, dear) if "cents" in line] == [
        "55 cents per second, not 60, 40, 40, 20"
    ]
    assert not [line for line in drift_of(veo, endpoint, other) if "cents" in line]
