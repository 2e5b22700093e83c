"""Files of users that are inputs of their jobs, and the addresses by which providers read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from reelay.db.assets import find_asset
from reelay.db.tables import GenerationJob, InputAddress, MediaFileRow
from reelay.domain.generation import Generation, Status
from reelay.domain.references import Owner, Reference, parse_reference, value_at


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file of the user's that can be read."""

    reference: Reference
    key: str
    name: str
    content_type: str
    size_bytes: int
    sha256: str
    """Empty where it is not known."""
    address: str | None = None
    """Where it lies if it is not in our archive."""


class Unusable(StrEnum):
    UNKNOWN = "unknown"
    """There is none, or it is somebody else's."""
    UNFINISHED = "unfinished"
    """Its job has not completed."""


async def find_input_file(session: AsyncSession, user_id: UUID, reference: Reference) -> InputFile | Unusable:
    if reference.owner is Owner.ASSET:
        return await _asset_file(session, user_id, reference)
    status = await session.scalar(
        select(col(GenerationJob.status)).where(
            col(GenerationJob.user_id) == user_id, col(GenerationJob.id) == reference.id
        )
    )
    if status is None:
        return Unusable.UNKNOWN
    if status != Status.COMPLETED:
        return Unusable.UNFINISHED
    files = select(MediaFileRow).where(col(MediaFileRow.user_id) == user_id, col(MediaFileRow.job_id) == reference.id)
    if reference.name:
        files = files.where(col(MediaFileRow.name) == reference.name)
    row = (await session.scalars(files.order_by(col(MediaFileRow.position)).limit(1))).first()
    if row is None:
        return Unusable.UNKNOWN
    return InputFile(
        reference=reference,
        key=row.file_path,
        name=row.name,
        content_type=row.format,
        size_bytes=row.file_size,
        sha256=row.sha256,
        address=row.file_url,
    )


async def _asset_file(session: AsyncSession, user_id: UUID, reference: Reference) -> InputFile | Unusable:
    asset = await find_asset(session, user_id, reference.id)
    if asset is None or asset.file_path is None or asset.name is None:
        return Unusable.UNKNOWN
    return InputFile(
        reference=reference,
        key=asset.file_path,
        name=asset.name,
        content_type=asset.content_type,
        size_bytes=asset.size_bytes,
        sha256=asset.sha256,
    )


async def input_sums(session: AsyncSession, job: GenerationJob) -> dict[str, str] | None:
    """The sha256 of each file that the job's arguments name, by its place; None when one is not there."""
    sums = {}
    for place in job.input_references:
        reference = parse_reference(value_at(job.arguments, place))
        file = await find_input_file(session, job.user_id, reference) if reference else Unusable.UNKNOWN
        if isinstance(file, Unusable):
            return None
        sums[place] = file.sha256 or str(reference)
    return sums


async def find_input_file_by_link(session: AsyncSession, user_id: UUID, link: Reference) -> InputFile | Unusable:
    """Of a link, which does not say whether its file is a job's or an asset."""
    found = await find_input_file(session, user_id, link)
    if found is not Unusable.UNKNOWN:
        return found
    asset = await find_input_file(session, user_id, Reference(Owner.ASSET, link.id))
    return asset if isinstance(asset, InputFile) and asset.name == link.name else Unusable.UNKNOWN


async def input_addresses(session: AsyncSession, generation: Generation, *, good_for: timedelta) -> dict[str, str]:
    """By place in the arguments: those that the provider can read for so long from now on."""
    rows = await session.execute(
        select(col(InputAddress.place), col(InputAddress.address)).where(
            col(InputAddress.job_id) == generation.id, col(InputAddress.expires_at) >= func.now() + good_for
        )
    )
    saved = {row.place: row.address for row in rows}
    places = {place: _saved_place(generation, place) for place in generation.references}
    return {place: saved[name] for place, name in places.items() if name in saved}


SAVE_INPUT_ADDRESS = text("""
    insert into input_addresses as saved (job_id, user_id, place, address, expires_at)
    values (:job, :user, :place, :address, now() + :lifetime)
    on conflict (job_id, place) do update set address = excluded.address, expires_at = excluded.expires_at
""")


async def save_input_addresses(
    session: AsyncSession, generation: Generation, addresses: Mapping[str, str], *, lifetime: timedelta
) -> None:
    """Written down before the submission: a later try gives the provider the same ones."""
    job = {"job": generation.id, "user": generation.user_id, "lifetime": lifetime}
    for place, address in addresses.items():
        values = {"place": _saved_place(generation, place), "address": address}
        await session.execute(SAVE_INPUT_ADDRESS, job | values)


def _saved_place(generation: Generation, place: str) -> str:
    """Another model reads other files at the same place, or the same ones at another address."""
    return f"{generation.attempts_before}:{place}" if generation.attempts_before else place
