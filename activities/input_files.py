"""Gives providers the files of users that are inputs of a job: by a link, by an upload, or in the input itself."""

from base64 import b64encode
from datetime import timedelta
from typing import Any

import structlog
from temporalio import activity

from activities.errors import input_files_needed, non_retryable, try_again
from activities.heartbeat import heartbeating
from reelay.db.engine import Sessions
from reelay.db.inputs import InputFile, Unusable, find_input_file, input_addresses, save_input_addresses
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import Generation, ProviderName
from reelay.domain.references import parse_reference, value_at, with_addresses
from reelay.media.errors import MediaError, NotInArchive
from reelay.media.storage import Storage
from reelay.providers.errors import NotUploaded, ProviderError
from reelay.providers.provider import OutgoingFile
from reelay.providers.registry import Providers

LONGEST_LIFETIME = timedelta(days=7)
"""Of a presigned address."""
SPARE = timedelta(hours=1)
"""Beyond the deadline: until the submission, which may have to wait for a moment."""
HEARTBEAT = timedelta(seconds=5)

log = structlog.get_logger()


class InputFileActivities:
    def __init__(self, sessions: Sessions, providers: Providers, storage: Storage) -> None:
        self._sessions = sessions
        self._providers = providers
        self._storage = storage

    @activity.defn
    async def hand_over(self, generation: Generation) -> None:
        """Write down where the provider reads each file, until after the deadline of a submission that is made now.

        An address that is good for so long is not made twice. Addresses stay out of the workflow's history.
        """
        async with heartbeating(every=HEARTBEAT):
            async with self._sessions() as session:
                known = await input_addresses(session, generation, good_for=needed_for(generation))
            lifetime = needed_for(generation) + SPARE
            made = {
                place: await self._address(generation, place, lifetime)
                for place in generation.references
                if place not in known
            }
            async with self._sessions.begin() as session:
                await save_input_addresses(session, generation, made, lifetime=lifetime)

    async def _address(self, generation: Generation, place: str, lifetime: timedelta) -> str:
        reference = parse_reference(value_at(generation.arguments, place))
        assert reference is not None
        async with self._sessions() as session:
            file = await find_input_file(session, generation.user_id, reference)
        if isinstance(file, Unusable):
            raise input_unavailable(f"The input {reference} is no longer there")
        if file.address:
            return file.address
        try:
            return await self._public_link(generation.provider, file, lifetime) or await self._handed_over(
                generation.provider, file, lifetime
            )
        except NotInArchive as gone:
            raise input_unavailable(f"The archive no longer holds the input {reference}") from gone
        except (MediaError, ProviderError) as error:
            raise try_again(error) from error

    async def _public_link(self, provider: ProviderName, file: InputFile, lifetime: timedelta) -> str | None:
        """None where the archive gives no link that the provider could read."""
        if await self._storage.head(file.key) is None:
            raise NotInArchive("the archive holds no such object")
        # The studio backend stands in the operator's own network, and reads what is not public, too.
        presign = self._storage.presign if provider is ProviderName.STUDIO else self._storage.presign_public
        return await presign(file.key, lifetime)

    async def _handed_over(self, name: ProviderName, file: InputFile, lifetime: timedelta) -> str:
        provider = self._providers[name]
        outgoing = OutgoingFile(
            name=file.name,
            content_type=file.content_type,
            size_bytes=file.size_bytes,
            lifetime=lifetime,
            read=lambda: self._storage.read(file.key),
        )
        try:
            return await provider.upload(outgoing)
        except NotUploaded as refused:
            if file.size_bytes > provider.longest_data_uri:
                raise input_unavailable(
                    f"{name} takes no upload of {file.size_bytes} bytes ({refused}), and the archive gives no link "
                    "that it can read: ARCHIVE_PUBLIC_URL"
                ) from refused
            log.info("input_sent_as_data", provider=name, reference=str(file.reference), reason=str(refused))
        content = b"".join([piece async for piece in self._storage.read(file.key)])
        return f"data:{file.content_type};base64,{b64encode(content).decode()}"


async def arguments_to_send(sessions: Sessions, generation: Generation) -> dict[str, Any]:
    """With addresses in place of references. Raises: ApplicationError, when those are still to be made."""
    if not generation.references:
        return generation.arguments
    async with sessions() as session:
        addresses = await input_addresses(session, generation, good_for=needed_for(generation))
    if not addresses.keys() >= set(generation.references):
        raise input_files_needed()
    return with_addresses(generation.arguments, {place: addresses[place] for place in generation.references})


def needed_for(generation: Generation) -> timedelta:
    """From a submission on."""
    return min(generation.timing.deadline, LONGEST_LIFETIME - SPARE)


def input_unavailable(message: str) -> Exception:
    return non_retryable(Failure(code=FailureCode.INPUT_UNAVAILABLE, message=message))
