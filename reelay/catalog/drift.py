"""What a provider publishes of an endpoint today, beside what the catalogue says of it."""

from collections.abc import Iterator

from reelay.catalog.endpoints import Endpoint, UnitPrice, UnusableDocument, input_schema, singular
from reelay.catalog.inputs import AnyInput, Choice, Duration, Integer, Number, WrongParts, WrongValue
from reelay.catalog.json_schema import NotASchema, validator_of
from reelay.catalog.model import Model
from reelay.catalog.price import plain


def drift_of(model: Model, endpoint: Endpoint | None, price: UnitPrice | None) -> list[str]:
    """What is no longer so, a line each. `endpoint`: None for one that is gone; `price`: None where none is listed."""
    if endpoint is None:
        return ["the endpoint is gone"]
    return [*(["it is deprecated"] if endpoint.is_deprecated else []), *_inputs(model, endpoint), *_price(model, price)]


def _inputs(model: Model, endpoint: Endpoint) -> Iterator[str]:
    try:
        schema = input_schema(endpoint)
    except (UnusableDocument, NotASchema) as error:
        yield f"its document cannot be used: {error}"
        return
    properties = schema.get("properties", {})
    ours = {item.provider_name: item for item in model.inputs.values()}
    for name in schema.get("required", ()):
        if not (item := ours.get(name)) or not (item.required or item.default is not None):
            yield f"{name} is required"
    for name, item in ours.items():
        if name not in properties:
            yield f"{name} is no input of it"
            continue
        validator = validator_of(properties[name])
        refused = [argument for argument in _examples(item) if not validator.is_valid(argument)]
        if refused:
            yield f"{name} does not take {', '.join(map(str, refused))}"


def _examples(item: AnyInput) -> Iterator[object]:
    """Arguments that the catalogue lets through: the choices, the bounds, the default."""
    match item:
        case Choice():
            given: list[object] = [*item.choices]
        case Duration() if item.choices:
            given = [*item.choices]
        case Duration() | Integer() | Number():
            given = [item.min, item.max]
        case _:
            given = []
    for value in [*given, *([] if item.default is None else [item.default])]:
        try:
            yield item.read(value)
        except (WrongValue, WrongParts):
            continue


def _price(model: Model, price: UnitPrice | None) -> Iterator[str]:
    """Where the units are the same: the list has one price, which has to be one of ours."""
    if price is None or model.price is None or not model.price.billed_in_unit or model.price.base_cents:
        return
    unit, rates = singular(price.unit), [rate.cents for rate in model.price.rates]
    if unit == singular(model.price.unit) and price.cents not in rates:
        yield f"{plain(price.cents)} cents per {unit}, not {', '.join(map(plain, rates))}"
