"""Inputs that name files of the caller's own: found in the arguments, checked, and written as references."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.context import RequestContext
from reelay.catalog.errors import shown
from reelay.catalog.model import Model
from reelay.db.inputs import InputFile, Unusable, find_input_file, find_input_file_by_link
from reelay.db.tables import GenerationJob
from reelay.domain.messages import Sentence
from reelay.domain.references import parse_own_link, parse_reference, value_at, with_addresses


@dataclass
class Checked:
    """What is wrong with a job's references."""

    errors: list[dict[str, Any]] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    """Those to jobs that have not completed."""


async def settle_references(
    session: AsyncSession,
    context: RequestContext,
    model: Model,
    given: Mapping[str, Any],
    job: GenerationJob,
    *,
    awaited: Collection[UUID] = (),
) -> Checked:
    """Links to the caller's own files become references, and the job learns where its arguments have them.

    `awaited`: jobs that will have completed by the time this one is submitted.
    """
    checked, references = Checked(), {}
    user_id, origins = context.caller.user_id, own_origins(context)
    for place, value in addresses_in(model, job.arguments):
        link = None if (reference := parse_reference(value)) else parse_own_link(value, origins)
        if reference:
            found = await find_input_file(session, user_id, reference)
        elif link:
            found = await find_input_file_by_link(session, user_id, link)
        else:
            continue
        match found:
            case InputFile():
                references[place] = str(found.reference)
            case Unusable.UNFINISHED if reference and reference.id in awaited:
                references[place] = str(reference)
            case Unusable.UNFINISHED:
                checked.unfinished.append(str(reference or link))
            case Unusable.UNKNOWN if reference:
                message = Sentence("field_no_such_file")
                named = {"field": model.spelling_of(place, given), "message": message, "limit": None}
                checked.errors.append({**named, "value": shown(value)})
    job.arguments = with_addresses(job.arguments, references)
    job.input_references = list(references)
    return checked


def addresses_in(model: Model, arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The places of the arguments that hold an address, and what stands there."""
    for place in model.address_places(arguments):
        yield place, value_at(arguments, place)


def own_origins(context: RequestContext) -> frozenset[str]:
    addresses = filter(None, (context.links.origin, context.services.settings.app_url))
    return frozenset(f"{parts.scheme}://{parts.netloc}".lower() for parts in map(urlsplit, addresses))
