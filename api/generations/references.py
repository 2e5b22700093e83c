"""Inputs that name files of the caller's own: found in the arguments, checked, and written as references."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.context import RequestContext
from reelay.catalog.errors import shown
from reelay.catalog.model import Model
from reelay.db.generations import CANDIDATES
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
    awaited: Collection[UUID] = ()
    """Jobs that will have completed in time."""


ModelInput = tuple[Model, Mapping[str, Any]]
"""A model, and inputs as the caller spelled them."""


def names_own_files(context: RequestContext, models: Sequence[ModelInput], job: GenerationJob) -> bool:
    """Whether `settle_references` would find any."""
    origins = own_origins(context)
    arguments = [candidate["arguments"] for candidate in job.candidates] if job.candidates else [job.arguments]
    return any(
        parse_reference(value) or parse_own_link(value, origins)
        for (model, _), each in zip(models, arguments, strict=True)
        for _, value in addresses_in(model, each)
    )


async def settle_references(
    session: AsyncSession,
    context: RequestContext,
    models: Sequence[ModelInput],
    job: GenerationJob,
    *,
    awaited: Collection[UUID] = (),
) -> Checked:
    """Links to the caller's own files become references, and the job learns where its arguments have them.

    `models`: the one that was asked for, and the job's fallbacks. `awaited`: jobs that will have completed by the time
    this one is submitted.
    """
    checked = Checked(awaited=awaited)
    job.arguments, references = await _settle(session, context, models[0], job.arguments, checked)
    job.input_references = list(references)
    if job.candidates:
        first, *fallbacks = CANDIDATES.validate_python(job.candidates)
        settled = [replace(first, arguments=job.arguments, references=references)]
        for position, (candidate, model_input) in enumerate(zip(fallbacks, models[1:], strict=True)):
            found = Checked(unfinished=checked.unfinished, awaited=awaited)
            arguments, references = await _settle(session, context, model_input, candidate.arguments, found)
            checked.errors += [{**each, "field": f"fallbacks.{position}.{each['field']}"} for each in found.errors]
            settled.append(replace(candidate, arguments=arguments, references=references))
        job.candidates = CANDIDATES.dump_python(settled, mode="json")
    return checked


async def _settle(
    session: AsyncSession,
    context: RequestContext,
    model_input: ModelInput,
    arguments: Mapping[str, Any],
    checked: Checked,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The arguments, and the places of the references in them."""
    (model, given), references = model_input, {}
    user_id, origins = context.caller.user_id, own_origins(context)
    for place, value in addresses_in(model, arguments):
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
            case Unusable.UNFINISHED if reference and reference.id in checked.awaited:
                references[place] = str(reference)
            case Unusable.UNFINISHED:
                checked.unfinished.append(str(reference or link))
            case Unusable.UNKNOWN if reference:
                message = Sentence("field_no_such_file")
                named = {"field": model.spelling_of(place, given), "message": message, "limit": None}
                checked.errors.append({**named, "value": shown(value)})
    return with_addresses(arguments, references), tuple(references)


def addresses_in(model: Model, arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The places of the arguments that hold an address, and what stands there."""
    for place in model.address_places(arguments):
        yield place, value_at(arguments, place)


def own_origins(context: RequestContext) -> frozenset[str]:
    addresses = filter(None, (context.links.origin, context.services.settings.app_url))
    return frozenset(f"{parts.scheme}://{parts.netloc}".lower() for parts in map(urlsplit, addresses))
