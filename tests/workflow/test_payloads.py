"""Old and new versions read each other's payloads: during a deploy, after a step back, and in stored histories."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import jsonschema_rs
import pytest

from tests.workflow.payloads import broken_by, decoded, payload_types, schema_of, written_today
from tests.workflow.record import RELEASES

RECORDED = {
    f"{folder.name} {name}": recorded
    for folder in sorted(RELEASES.iterdir())
    for name, recorded in json.loads((folder / "payloads.json").read_text()).items()
}
TODAY = payload_types()
WHAT_TO_DO = (
    "Running generations of that release, stored histories, and its processes during a deploy or after a step back "
    "need it as it was. Payloads grow by fields with defaults and by enum members, nothing else: see CONTRIBUTING, "
    "'Change a workflow safely'. For a release that is not out yet record anew: python -m tests.workflow.record"
)


def today(name: str) -> Any:
    """The type under that name."""
    payload = name.partition(" ")[2]
    assert payload in TODAY, f"{payload} is gone. {WHAT_TO_DO}"
    return TODAY[payload]


@pytest.mark.parametrize("name", RECORDED)
def test_what_a_release_wrote_is_read_today(name: str) -> None:
    for written in RECORDED[name]["examples"]:
        decoded(json.dumps(written), today(name))


@pytest.mark.parametrize("name", RECORDED)
def test_what_is_written_today_a_release_reads(name: str) -> None:
    validator = jsonschema_rs.validator_for(RECORDED[name]["schema"])
    for written in written_today(today(name)):
        assert [error.message for error in validator.iter_errors(written)] == [], WHAT_TO_DO


@pytest.mark.parametrize("name", RECORDED)
def test_types_grow_only(name: str) -> None:
    assert list(broken_by(schema_of(today(name)), RECORDED[name]["schema"])) == [], WHAT_TO_DO


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class OneColour(StrEnum):
    RED = "red"


class ThreeColours(StrEnum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


@dataclass(frozen=True, kw_only=True)
class Released:
    name: str
    colour: Colour
    size: int = 0


def changed(**fields: Any) -> type:
    """The class as a later version might have it; None: without that field."""
    kinds = {"name": str, "colour": Colour, "size": int} | fields
    body = {name: kind for name, kind in kinds.items() if kind is not None}
    later = type("Released", (), {"__annotations__": body, "size": 0} if "size" in body else {"__annotations__": body})
    return dataclass(frozen=True, kw_only=True)(later)


def renamed(colours: type[StrEnum]) -> type[StrEnum]:
    colours.__name__ = colours.__qualname__ = "Colour"
    return colours


def with_default() -> type:
    later = type("Released", (changed(),), {"__annotations__": {"weight": int}, "weight": 0})
    return dataclass(frozen=True, kw_only=True)(later)


@pytest.mark.parametrize(
    ("later", "broken"),
    [
        (changed, []),
        (with_default, []),
        (lambda: changed(colour=renamed(ThreeColours)), []),
        (lambda: changed(colour=renamed(OneColour)), ["Colour: the member 'blue' is gone"]),
        (lambda: changed(size=None), ["Released.size: it is gone"]),
        (lambda: changed(name=None), ["Released.name: it is gone"]),
        (
            lambda: changed(weight=int),
            ["Released.weight: it has to be there, and the release does not write it. Give it a default"],
        ),
        (lambda: changed(name=int), ["Released.name: it was"]),
        (lambda: changed(size=int | None), ["Released.size: it was"]),
    ],
)
def test_each_change_that_breaks_is_named(later: Callable[[], type], broken: list[str]) -> None:
    """In a list, as its types lie then beside it in the schema."""
    found = list(broken_by(schema_of(list[later()]), schema_of(list[Released])))  # type: ignore[misc]  # made here

    assert [told[: len(said)] for told, said in zip(found, broken, strict=True)] == broken
