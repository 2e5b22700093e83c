"""The catalogue: finds the model that a request means."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from reelay.catalog.errors import UnknownModel
from reelay.catalog.model import JobKind, Model, Quality

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})


def has_first_frame(models: Sequence[Model], params: Mapping[str, Any]) -> bool:
    """Whether the parameters give the first frame that one of the models takes."""
    return any(model.has_first_frame(params) for model in models)


def suited(models: Sequence[Model], params: Mapping[str, Any]) -> Model:
    """Of models that share a name, the one that takes a first frame if the parameters have one."""
    wanted = has_first_frame(models, params)
    return next((model for model in models if model.takes_first_frame is wanted), models[0])


class Catalog(BaseModel):
    """All models, and which of them serve a call that names none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[Model, ...]
    defaults: dict[JobKind, dict[Quality, str]]

    def find(self, name: str, params: Mapping[str, Any] = NO_PARAMS, *, kind: JobKind | None = None) -> Model:
        """The model of that name, ours or the provider's; of two that share it, the one that takes a first frame if
        `params` have one. With a `kind`, only a model of that kind is found.

        Raises: UnknownModel.
        """
        of_kind = [model for model in self.models if kind in (None, model.kind)]
        named = [model for model in of_kind if name in (model.name, model.endpoint)]
        if not named:
            raise UnknownModel(name, self._names(kind))
        return suited(named, params)

    def sibling(self, model: Model, before: Mapping[str, Any], after: Mapping[str, Any]) -> Model:
        """For parameters that changed: the model of the same name that takes, or lacks, a first frame as they do now.
        The model itself where none is needed."""
        named = [each for each in self.models if each.name == model.name]
        if has_first_frame(named, before) == has_first_frame(named, after):
            return model
        return suited(named, after)

    def choose(
        self, kind: JobKind, params: Mapping[str, Any] = NO_PARAMS, *, quality: Quality = Quality.STANDARD
    ) -> Model:
        """The model of a call that names none. A kind without a fast model is served by its standard one."""
        by_quality = self.defaults[kind]
        return self.find(by_quality.get(quality, by_quality[Quality.STANDARD]), params, kind=kind)

    def closest(self, name: str, params: Mapping[str, Any], *, kind: JobKind | None) -> Model:
        """The model of that name if there is one, else the one of a call that names none; without a kind, a video."""
        try:
            return self.find(name, params, kind=kind)
        except UnknownModel:
            quality = Quality.FAST if params.get("quality") == Quality.FAST else Quality.STANDARD
            return self.choose(kind or JobKind.VIDEO, params, quality=quality)

    def _names(self, kind: JobKind | None) -> list[str]:
        return list(dict.fromkeys(model.name for model in self.models if kind in (None, model.kind)))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Every model can be named apart from all others, and every default is there and of its kind."""
        distinct = {(model.name, model.takes_first_frame) for model in self.models}
        if len({model.endpoint for model in self.models}) < len(self.models) or len(distinct) < len(self.models):
            raise ValueError("two models share an endpoint, or share a name and both take, or lack, a first frame")
        for kind in JobKind:
            names = self.defaults.get(kind, {})
            if Quality.STANDARD not in names or not set(names.values()) <= set(self._names(kind)):
                raise ValueError(f"defaults: {kind} needs a standard model, and only models of its own kind")
        return self
