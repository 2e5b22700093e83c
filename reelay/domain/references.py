"""Inputs that name a file of the user's own: `asset:<id>`, `job:<id>` (its first file), `job:<id>/<name>`.

In a model's arguments such an input stands until the job is submitted; then it becomes an address that the provider can
read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

from reelay.domain.generation import MEDIA_PATH

UUID_PATTERN = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
REFERENCE = re.compile(f"(asset|job):({UUID_PATTERN})(?:/([A-Za-z0-9][A-Za-z0-9._-]{{0,199}}))?")
MEDIA_ADDRESS = re.compile(f"{re.escape(MEDIA_PATH)}({UUID_PATTERN})/([A-Za-z0-9][A-Za-z0-9._-]{{0,199}})")


class Owner(StrEnum):
    """What the file belongs to."""

    ASSET = "asset"
    JOB = "job"


@dataclass(frozen=True)
class Reference:
    owner: Owner
    id: UUID
    name: str | None = None
    """None: the first file."""

    def __str__(self) -> str:
        return f"{self.owner}:{self.id}" + (f"/{self.name}" if self.name else "")


def parse_reference(text: object) -> Reference | None:
    """None for what is no reference."""
    match = REFERENCE.fullmatch(text) if isinstance(text, str) else None
    if match is None or (match[1] == Owner.ASSET and match[3]):
        return None
    return Reference(Owner(match[1]), UUID(match[2]), match[3])


def parse_own_link(address: object, origins: frozenset[str]) -> Reference | None:
    """The file of a job, or of an asset, behind a link to media at one of our origins; which of the two, it does not
    say: the owner is taken to be a job. None for other addresses."""
    if not isinstance(address, str):
        return None
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    match = MEDIA_ADDRESS.fullmatch(unquote(parts.path))
    if match is None or f"{parts.scheme}://{parts.netloc}".lower() not in origins:
        return None
    return Reference(Owner.JOB, UUID(match[1]), match[2])


def references_within(value: object, place: str) -> Iterator[str]:
    """The places of references in objects and lists, however deep: `loras/0/path`."""
    children: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict):
        children = ((key, child) for key, child in value.items() if "/" not in key)
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        if parse_reference(child):
            yield f"{place}/{key}"
        else:
            yield from references_within(child, f"{place}/{key}")


def with_addresses(arguments: Mapping[str, Any], addresses: Mapping[str, str]) -> dict[str, Any]:
    """The arguments with other values at those places, each a path of keys and positions: `image_url`, `images/0`."""
    changed = deepcopy(dict(arguments))
    for place, address in addresses.items():
        *path, last = place.split("/")
        part: Any = changed
        for key in path:
            part = part[int(key)] if isinstance(part, list) else part[key]
        part[int(last) if isinstance(part, list) else last] = address
    return changed


def value_at(arguments: Mapping[str, Any], place: str) -> Any:
    part: Any = arguments
    for key in place.split("/"):
        part = part[int(key)] if isinstance(part, list) else part[key]
    return part
