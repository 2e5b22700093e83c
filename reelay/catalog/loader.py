"""Reads the catalogue from its files."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_snake

from reelay.catalog.catalog import Catalog
from reelay.catalog.model import JobKind, Model

DIRECTORY = Path(__file__).parent


class Aliases(BaseModel):
    """Callers' other names for inputs, each with the inputs that it can mean; as `aliases.toml` explains."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: dict[str, tuple[str, ...]]
    lists: dict[str, tuple[str, ...]]

    def given_to(self, model: dict[str, Any]) -> dict[str, Any]:
        """The model with the aliases at its inputs, and with all other names under `foreign`."""
        inputs = {name: dict(item) for name, item in model["inputs"].items()}
        known = {spelling for item in inputs.values() for spelling in (item["name"], item["provider_name"])}
        for key, table in (("aliases", self.names), ("list_aliases", self.lists)):
            for alias, meanings in table.items():
                meant = next((name for name in meanings if name in inputs), None)
                if meant and alias not in known:
                    inputs[meant][key] = [*inputs[meant].get(key, ()), alias]
                    known.add(alias)
        names = {
            name for table in (self.names, self.lists) for entry in table.items() for name in (entry[0], *entry[1])
        }
        return model | {"inputs": inputs, "foreign": sorted(names - known)}


@cache
def load_catalog(directory: Path = DIRECTORY) -> Catalog:
    """The catalogue of `models/*.toml`, `aliases.toml` and `defaults.toml`, models ordered by kind; read once.

    Raises: ValueError, naming what is wrong and where.
    """
    aliases = Aliases.model_validate(read_toml(directory / "aliases.toml"))
    models = [model for path in sorted(directory.glob("models/*.toml")) for model in read_models(path, aliases)]
    kinds = [*JobKind, None]
    models.sort(key=lambda model: kinds.index(model.kind))
    return Catalog.model_validate({"models": models, "defaults": read_toml(directory / "defaults.toml")})


def read_models(path: Path, aliases: Aliases) -> list[Model]:
    """The models of one file. What stands above `[[models]]` holds for each of them; a model's own value goes over it,
    and that of one of its `variants`, of which each becomes a model, over both."""
    shared = read_toml(path)
    entries = shared.pop("models", [])
    try:
        each = [variant for entry in entries for variant in variants(overlay(shared, entry))]
        return [Model.model_validate(aliases.given_to(variant)) for variant in each]
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
    """Each input gets its name, and, where the file gives none, the provider's: the same in snake case."""
    inputs = entry.get("inputs", {})
    return entry | {
        "inputs": {name: {"name": name, "provider_name": to_snake(name), **item} for name, item in inputs.items()}
    }
