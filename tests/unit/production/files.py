"""The files of the production shape, read as the tools that use them read them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from tests.paths import ROOT

Compose = dict[str, Any]
REFERENCE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?::(?P<mark>[?+-])(?P<words>[^{}]*))?\}")
"""One that holds no other."""


class Unset(Exception):
    """A variable that the file demands has no value."""


def read_compose(name: str = "docker-compose.yml") -> Compose:
    """The file as it is written, with `${...}` in it."""
    compose: Compose = yaml.safe_load((ROOT / name).read_text())
    return compose


def resolved(value: Any, environment: Mapping[str, str]) -> Any:
    """What Docker Compose makes of it: `${...}` filled in, variables without a value passed on. Raises: Unset."""
    if isinstance(value, str):
        while reference := REFERENCE.search(value):  # from the inside out
            value = value[: reference.start()] + _value(reference, environment) + value[reference.end() :]
        return value.replace("$$", "$")
    if isinstance(value, list):
        return [resolved(item, environment) for item in value]
    if isinstance(value, dict):
        passed_on = {name: environment.get(name) if item is None else item for name, item in value.items()}
        return {name: resolved(item, environment) for name, item in passed_on.items()}
    return value


def _value(reference: re.Match[str], environment: Mapping[str, str]) -> str:
    value, words = environment.get(reference["name"], ""), reference["words"] or ""
    if reference["mark"] == "+":
        return words if value else ""
    if value:
        return value
    if reference["mark"] == "?":
        raise Unset(reference["name"])
    return words


def container_environment(compose: Compose, service: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that the service's process sees."""
    values = resolved(compose["services"][service]["environment"], environment)
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Line:
    """A variable of `.env.example`."""

    name: str
    value: str
    commented_out: bool
    comment: str
    """What is said above it, and above the variables before it that share the comment."""
    section: str


def read_example() -> list[Line]:
    lines: list[Line] = []
    comment = section = ""
    for text in (ROOT / ".env.example").read_text().splitlines():
        if found := re.fullmatch(r"(#?)([A-Z][A-Z0-9_]*)=(.*)", text):
            lines.append(Line(found[2], found[3], bool(found[1]), comment, section))
        elif text.startswith("# "):
            goes_on = bool(comment) and not (lines and lines[-1].comment == comment)
            comment = f"{comment} {text[2:]}" if goes_on else text[2:]
        else:
            comment, section = "", text.removeprefix("## ") or section
    return lines


def filled_in() -> dict[str, str]:
    """`.env` as somebody has it who gave a value to what has none, and left the rest alone."""
    values = {line.name: line.name.lower().replace("_", "") * 3 for line in read_example() if not line.commented_out}
    return values | {"AWS_ENDPOINT_URL": "https://media.example.com"}


def locked(lock: str) -> dict[str, list[str]]:
    """Package to its versions in that file: one, where no marker tells the Pythons or the machines apart."""
    versions: dict[str, list[str]] = {}
    for package, version in re.findall(r"(?m)^([\w.-]+)==(\S+)", (ROOT / lock).read_text()):
        versions.setdefault(package, []).append(version)
    return versions


@dataclass(frozen=True)
class Instruction:
    name: str
    value: str


def read_dockerfile() -> list[Instruction]:
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [Instruction(*line.split(maxsplit=1)) for line in lines]


def last(name: str) -> str:
    """The value that the Dockerfile's last instruction of this name leaves."""
    return [each.value for each in read_dockerfile() if each.name == name][-1]
