"""Reads the catalogue from its files."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_snake

from catalog.catalog import Catalog
from catalog.model import JobKind, Model

DIRECTORY = Path(__file__).parent


def load_catalog(directory: Path = DIRECTORY) -> Catalog:
    """The catalogue of `models/*.toml` and `defaults.toml`, models ordered by kind.

    Raises: ValueError, naming what is wrong and where.
    """
    models = [model for path in sorted(directory.glob("models/*.toml")) for model in read_models(path)]
    kinds = list(JobKind)
    models.sort(key=lambda model: kinds.index(model.kind))
    return Catalog.model_validate({"models": models, "defaults": read_toml(directory / "defaults.toml")})


def read_models(path: Path) -> list[Model]:
    """The models of one file. What stands above `[[models]]` holds for each of them; a model's own word goes over it,
    and that of one of its `variants`, of which each becomes a model, over both."""
    shared = read_toml(path)
    entries = shared.pop("models", [])
    try:
        return [Model.model_validate(variant) for entry in entries for variant in variants(overlay(shared, entry))]
    except ValidationError as error:
        raise ValueError(f"{path.name}: {error}") from error


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: {error}") from error


def overlay(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """`own` over `shared`, table by table."""
    both = {key: overlay(shared[key], own[key]) for key in own if isinstance(shared.get(key), dict)}
    return shared | own | both


def variants(entry: dict[str, Any]) -> list[dict[str, Any]]:
    common = {key: value for key, value in entry.items() if key != "variants"}
    return [with_spellings(overlay(common, own)) for own in entry.get("variants", {"only": {}}).values()]


def with_spellings(entry: dict[str, Any]) -> dict[str, Any]:
    """Each input gets its word, and, where the file gives none, the provider's name: the word in snake case."""
    inputs = entry.get("inputs", {})
    return entry | {"inputs": {word: {"word": word, "name": to_snake(word), **item} for word, item in inputs.items()}}
