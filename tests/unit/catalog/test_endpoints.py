"""Models out of endpoints' documents: what they take, what is wrong with an input, and what they cost."""

from decimal import Decimal
from typing import Any

import pytest

from reelay.catalog.endpoints import (
    Endpoint,
    UnitPrice,
    UnusableDocument,
    endpoint_of,
    is_endpoint_id,
    model_of,
    with_published_inputs,
)
from reelay.catalog.errors import InvalidInput
from reelay.catalog.model import Model
from reelay.domain.generation import JobType

ID = "fal-ai/anything/v1"
COLOUR = {"type": "object", "properties": {"r": {"type": "integer", "maximum": 255}}, "required": ["r"]}


def document(
    properties: dict[str, Any], *, required: tuple[str, ...] = (), output: dict[str, Any] | None = None, **schemas: Any
) -> dict[str, Any]:
    """As fal writes it, as far as it is read."""
    taken = {"type": "object", "properties": properties, "required": list(required)}
    made = {"type": "object", "properties": output or {}, "required": list(output or {})}

    def reference(name: str) -> dict[str, Any]:
        return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}

    return {
        "openapi": "3.0.4",
        "info": {"x-fal-metadata": {"category": "text-to-image"}},
        "components": {"schemas": {"In": taken, "Out": made, **schemas}},
        "paths": {
            f"/{ID}": {"post": {"requestBody": reference("In")}},
            f"/{ID}/requests/{{request_id}}": {"get": {"responses": {"200": reference("Out")}}},
        },
    }


def model(
    properties: dict[str, Any], price: tuple[float, str] | None = None, *, category: str = "text-to-image", **more: Any
) -> Model:
    endpoint = Endpoint(id=ID, openapi=document(properties, **more), category=category)
    return model_of(endpoint, UnitPrice(cents=Decimal(str(price[0])), unit=price[1]) if price else None)


def errors(of: Model, given: dict[str, Any]) -> list[tuple[str, str, Any]]:
    with pytest.raises(InvalidInput) as raised:
        of.arguments(given)
    return [(error.field, str(error.message), error.limit) for error in raised.value.errors]


def test_every_wrong_field_is_named_with_its_limit() -> None:
    taken = model(
        {
            "prompt": {"type": "string", "maxLength": 5},
            "steps": {"type": "integer", "minimum": 1, "maximum": 50},
            "size": {"anyOf": [COLOUR, {"type": "string", "enum": ["square", "wide"]}]},
            "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            "scale": {"type": "number", "exclusiveMinimum": 0},
            "loras": {"type": "array", "maxItems": 2, "items": {"$ref": "#/components/schemas/Lora"}},
            "strict": {"type": "boolean"},
            "tag": {"type": "string", "pattern": "^[a-z]+$"},
        },
        required=("prompt", "tag"),
        Lora={"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    )
    assert errors(
        taken,
        {
            "prompt": "too long",
            "steps": 51,
            "size": "giant",
            "seed": "7",
            "scale": 0,
            "loras": [{"path": 3}, {"scale": 1}, {"path": "x"}],
            "strict": "yes",
            "stepz": 3,
        },
    ) == [
        ("stepz", f'is not an input of {ID}; did you mean "steps"?', list(taken.inputs)),
        ("prompt", "may have at most 5 characters", {"maxLength": 5}),
        ("steps", "must be at most 50", {"max": 50}),
        ("size", "must be one of square, wide", ["square", "wide"]),
        ("seed", "must be an integer", {"type": "integer"}),
        ("scale", "must be more than 0", {"moreThan": 0}),
        ("loras", "may have at most 2 items", {"maxItems": 2}),
        ("loras[0].path", "must be a string", {"type": "string"}),
        ("loras[1]", "lacks path, which is required", None),
        ("strict", "must be true or false", {"type": "boolean"}),
        ("tag", "is required", None),
    ]


def test_what_fits_goes_to_the_provider_as_it_is() -> None:
    taken = model(
        {
            "prompt": {"type": "string"},
            "aspect_ratio": {"enum": ["1:1"]},
            "seed": {"type": "integer", "nullable": True},
        },
        required=("prompt",),
    )
    given = {"prompt": "a hill", "aspect_ratio": "1:1"}
    assert taken.arguments(given | {"seed": None}) == given
    assert taken.arguments({"prompt": "a hill", "aspectRatio": "1:1"}) == given


def test_bounds_are_read_as_openapi_3_0_writes_them() -> None:
    taken = model({"scale": {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 1}})
    assert errors(taken, {"scale": 0}) == [("scale", "must be more than 0", {"moreThan": 0})]
    assert taken.arguments({"scale": 1}) == {"scale": 1}


def test_a_schema_that_contains_itself_ends() -> None:
    node = {"type": "object", "properties": {"child": {"$ref": "#/components/schemas/Node"}}}
    taken = model({"tree": {"$ref": "#/components/schemas/Node"}}, Node=node)
    assert taken.arguments({"tree": {"child": {"child": {}}}})
    assert errors(taken, {"tree": {"child": 3}}) == [("tree.child", "must be an object", {"type": "object"})]


PROMPT = {"prompt": {"type": "string"}}
IMAGES = {"num_images": {"type": "integer", "minimum": 1, "maximum": 4, "default": 1}}
SECONDS = {"duration": {"type": "string", "enum": ["5", "10"], "default": "5"}}
SIZE = {"image_size": {"anyOf": [{"type": "object"}, {"enum": ["square_hd", "square"]}], "default": "square"}}


@pytest.mark.parametrize(
    ("properties", "price", "given", "cents"),
    [
        (PROMPT | IMAGES, (4, "images"), {}, 4),
        (PROMPT | IMAGES, (4, "Image"), {"num_images": 3}, 12),
        (PROMPT | SECONDS, (7, "seconds"), {}, 35),
        (PROMPT | SECONDS, (7, "seconds"), {"duration": "10"}, 70),
        ({"duration": {"enum": ["auto", "4", "12"], "default": "auto"}}, (1, "seconds"), {}, 12),
        ({"duration": {"type": "number", "maximum": 30}}, (1, "seconds"), {}, 30),
        ({"duration": {"type": "number", "default": 6}}, (1, "seconds"), {"duration": 7.5}, 8),
        (SIZE | IMAGES, (2, "megapixels"), {}, 2),
        (SIZE | IMAGES, (2, "megapixels"), {"image_size": {"width": 2048, "height": 1024}, "num_images": 2}, 8),
        ({"text": {"type": "string"}}, (10, "1000 characters"), {"text": "x" * 2500}, 25),
        ({"text": {"type": "string"}}, (0.01, "characters"), {"text": "x" * 250}, 3),
        (PROMPT, (20, "videos"), {}, 20),
        (PROMPT, (20, "generations"), {}, 20),
        (PROMPT, (20, "requests"), {}, 20),
        # Nobody can tell how many there will be.
        (PROMPT, (7, "seconds"), {}, None),
        (PROMPT, (7, "megapixels"), {}, None),
        (SIZE | {"num_frames": {"type": "integer"}}, (1, "megapixels"), {}, None),
        ({"duration": {"type": "number"}}, (1, "seconds"), {}, None),
        (PROMPT, (7, "minutes"), {}, None),
        (PROMPT, (7, "1000 tokens"), {}, None),
        (PROMPT, (0.017, "compute seconds"), {}, None),
        (PROMPT, (100, "units"), {}, None),
        (PROMPT, (0, "images"), {}, None),
        (PROMPT, None, {}, None),
    ],
)
def test_a_unit_price_times_what_the_input_says(
    properties: dict[str, Any], price: tuple[float, str] | None, given: dict[str, Any], cents: int | None
) -> None:
    assert model(properties, price).price_cents(given) == cents


@pytest.mark.parametrize(
    ("price", "cents"),
    [((7, "minutes"), 14), ((20, "videos"), 40), ((0.017, "compute seconds"), None), ((100, "units"), None)],
)
def test_a_count_of_the_providers_tells_a_cost_unless_its_price_is_a_placeholder(
    price: tuple[float, str], cents: int | None
) -> None:
    tariff = model(PROMPT, price).tariff({})
    assert (tariff and tariff.cents(Decimal(2))) == cents


FILE = {"type": "object", "properties": {"url": {"type": "string"}, "content_type": {"type": "string"}}}
LAYER = {"type": "object", "properties": {"image": FILE, "name": {"type": "string"}}, "required": ["image"]}


@pytest.mark.parametrize(
    ("output", "category", "paths"),
    [
        ({"video": FILE, "seed": {"type": "integer"}}, "text-to-video", ("video",)),
        ({"images": {"type": "array", "items": FILE}}, "text-to-image", ("images[]",)),
        ({"images": {"type": "array", "items": {"type": "string"}}}, "text-to-image", ("images[]",)),
        ({"layers": {"type": "array", "items": LAYER}}, "image-to-image", ("layers[].image",)),
        ({"stems": {"type": "object", "additionalProperties": FILE}}, "audio-to-audio", ("stems.*",)),
        ({"audio": {"type": "string"}}, "text-to-speech", ("audio",)),
        ({"glb": FILE, "preview": {"anyOf": [FILE, {"type": "null"}]}}, "image-to-3d", ("glb", "preview")),
        ({"preview": {"anyOf": [FILE, {"type": "null"}]}}, "vision", ("preview?",)),
        ({"output": {"type": "string"}, "reasoning": {"type": "string"}}, "llm", ()),
        ({"prompt": {"type": "string"}, "input_image": FILE}, "vision", ()),
        ({}, "text-to-image", None),
    ],
)
def test_files_are_found_by_the_schema_of_the_answer(
    output: dict[str, Any], category: str, paths: tuple[str, ...] | None
) -> None:
    assert model(PROMPT, category=category, output=output).outputs == paths


@pytest.mark.parametrize(
    ("category", "job_type"),
    [
        ("image-to-video", JobType.VIDEO),
        ("image-to-image", JobType.FIRST_FRAME),
        ("text-to-speech", JobType.VOICE),
        ("video-to-audio", JobType.AMBIENT),
        ("speech-to-text", JobType.TRANSCRIPTION),
        ("training", JobType.OTHER),
        ("something-new", JobType.OTHER),
    ],
)
def test_what_a_job_makes_follows_from_the_category(category: str, job_type: JobType) -> None:
    assert model(PROMPT, category=category).job_type is job_type


@pytest.mark.parametrize(
    "openapi",
    [
        {},
        {"paths": {f"/{ID}": {"post": "?"}}},
        document({"a": "?"}),
        document({"a": {"$ref": "#/components/schemas/Missing"}}),
        document({"a": {"type": "strange"}}),
        document({"a": {"enum": [1], "pattern": "("}}),
    ],
)
def test_a_document_that_describes_nothing_is_refused(openapi: dict[str, Any]) -> None:
    with pytest.raises(UnusableDocument):
        model_of(Endpoint(id=ID, openapi=openapi), None)


def test_an_entry_of_the_list_without_its_registrys_metadata_is_enough() -> None:
    endpoint = endpoint_of({"endpoint_id": ID, "openapi": document(PROMPT)})
    assert (endpoint.category, endpoint.title, endpoint.is_deprecated) == ("text-to-image", "", False)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("fal-ai/wan/v2.7/text-to-video", True),
        ("owner/app", True),
        ("veo3.1", False),
        ("../../etc/passwd", False),
        ("fal-ai//x", False),
        ("fal-ai/x?y=1", False),
        ("fal-ai/" + "x" * 300, False),
    ],
)
def test_what_can_be_an_endpoints_id(name: str, is_one: bool) -> None:
    assert is_endpoint_id(name) is is_one


@pytest.mark.parametrize("value", ["\0", "\ud800", {"b": ["\ud800"]}, {"\ud800": 1}, float("nan"), [float("inf")]])
def test_what_is_no_json_is_wrong_wherever_it_stands(value: Any) -> None:
    (error,) = errors(model({"a": {}}), {"a": value})
    assert error[0] == "a"


def test_a_pattern_costs_no_more_time_than_its_limit() -> None:
    taken = model({"tag": {"type": "string", "pattern": r"^(?=(a+)+$)(a+)+$"}})
    (error,) = errors(taken, {"tag": "a" * 40 + "!"})
    assert error[0] == "tag"


def test_inputs_stand_in_the_documents_order() -> None:
    openapi = document({"a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": "string"}})
    openapi["components"]["schemas"]["In"]["x-fal-order-properties"] = ["c", "a", "gone"]
    assert list(model_of(Endpoint(id=ID, openapi=openapi), None).inputs) == ["c", "a", "b"]


def test_what_is_published_adds_inputs_and_where_it_counts_for_the_price_decides() -> None:
    prompt = {"prompt": {"type": "string"}}
    more = {
        "acceleration": {"type": "string", "enum": ["none", "high"]},
        "num_images": {"type": "integer", "default": 1},
    }
    catalogued, published = model(prompt, (4, "image")), model(prompt | more, (5, "images"))

    extended = with_published_inputs(catalogued, published, ["acceleration", "colour"])
    assert extended.arguments({"prompt": "a lake", "acceleration": "high"})["acceleration"] == "high"
    assert extended.price == catalogued.price
    assert [field for field, _, _ in errors(extended, {"prompt": "x", "acceleration": "low", "colour": "red"})] == [
        "colour",
        "acceleration",
    ]
    counted = with_published_inputs(catalogued, published, ["num_images"])
    assert counted.price_cents(counted.arguments({"prompt": "a lake", "num_images": 3})) == 15
