"""Reads the catalogue from its files."""

import os
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
def load_catalog(directory: Path = DIRECTORY, more: Path | None = None) -> Catalog:
    """The catalogue of `models/*.toml`, `aliases.toml` and `defaults.toml`, models ordered by kind; read once.

    `more`: a folder of files with further models; one of a name that there is takes its place, with all its variants.

    Raises: ValueError, naming the file, the model and the key that are wrong.
    """
    aliases = Aliases.model_validate(read_toml(directory / "aliases.toml"))
    models = [model for path in sorted(directory.glob("models/*.toml")) for model in read_models(path, aliases)]
    if more is not None:
        models = with_more(models, more, aliases)
    kinds = [*JobKind, None]
    models.sort(key=lambda model: kinds.index(model.kind))
    return Catalog.model_validate({"models": models, "defaults": read_toml(directory / "defaults.toml")})


def with_more(models: list[Model], folder: Path, aliases: Aliases) -> list[Model]:
    """Raises: ValueError."""
    if not (folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)):
        raise ValueError(f"{folder} is no folder that can be read")
    sources: dict[str, Path] = {}
    added: list[Model] = []
    for path in sorted(folder.glob("*.toml")):
        for model in read_models(path, aliases):
            if (other := sources.setdefault(model.name, path)) != path:
                raise ValueError(f"{path.name}: {model.name}: name: {other.name} has a model of this name")
            added.append(model)
    kept = [model for model in models if model.name not in sources]
    endpoints = {model.endpoint: model.name for model in kept}
    for model in added:
        if (other_name := endpoints.setdefault(model.endpoint, model.name)) != model.name:
            raise ValueError(
                f"{sources[model.name].name}: {model.name}: endpoint: {model.endpoint} is that of {other_name}; "
                "give it that name to take its place"
            )
    return [*kept, *added]


def read_models(path: Path, aliases: Aliases) -> list[Model]:
    """The models of one file. What stands above `[[models]]` holds for each of them; a model's own value goes over it,
    and that of one of its `variants`, of which each becomes a model, over both."""
    shared = read_toml(path)
    entries = shared.pop("models", [])
    if not (isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries) and entries):
        raise ValueError(f"{path.name}: models: must be one or more tables, [[models]]")
    each = [variant for entry in entries for variant in variants(overlay(shared, entry))]
    return [model_in(path, aliases.given_to(variant)) for variant in each]


def model_in(path: Path, entry: dict[str, Any]) -> Model:
    try:
        return Model.model_validate(entry)
    except ValidationError as error:
        wrong = "; ".join(
            ": ".join(filter(None, [".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")]))
            for each in error.errors(include_url=False, include_input=False)
        )
        raise ValueError(f"{path.name}: {entry.get('name', '(no name)')}: {wrong}") from error


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path.name}: it cannot be read") from error
    except ValueError as error:  # no TOML, or no UTF-8
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
