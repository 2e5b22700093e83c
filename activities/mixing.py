"""Mixes a film out of files of its user's, on the queue of the transfers."""

import asyncio
import hashlib
import json
import os
from datetime import timedelta
from pathlib import Path

import structlog
from temporalio import activity

from activities.errors import LONGEST_PAUSE, non_retryable, try_again
from activities.heartbeat import heartbeating
from activities.inputs import Mixing
from activities.progress import ByteProgress
from reelay.db.engine import Sessions, one_statement
from reelay.db.generations import advance_generation, files_of, find_generation
from reelay.db.inputs import InputFile, Unusable, find_input_file
from reelay.db.tables import GenerationJob
from reelay.domain.failure import Failure, FailureCode
from reelay.domain.generation import Archived, Generation, JobType, MediaFile, Stage, Status
from reelay.domain.references import Owner, parse_reference
from reelay.media.archive import archive_whole, media_prefix
from reelay.media.captions import Cue, cues_of, moved, spoken_cues
from reelay.media.decoder_pool import Inspect
from reelay.media.errors import ArchiveMisconfigured, BadMedia, MediaError, NotInArchive, TooLarge
from reelay.media.mix import Ending, Mix, Track
from reelay.media.mixer import make_film
from reelay.media.saving import Saved, save
from reelay.media.signer import LARGEST_BYTES, Signer
from reelay.media.signing import Ingredient, SourceType, Statement
from reelay.media.storage import Storage
from reelay.media.transcript import archive_captions

STEM = "film"
CAPTIONS = "captions"
# Often enough that a cancellation is heard within 2 s.
HEARTBEAT = timedelta(seconds=1)
WHOLE = 1000
"""Of a film's progress, which is counted in parts of it."""
FILE_NAME = str.maketrans({":": "-", "/": "-"})
"""By which a reference becomes the name of a file."""

log = structlog.get_logger()


class MixActivities:
    def __init__(
        self,
        sessions: Sessions,
        storage: Storage,
        inspect: Inspect,
        signer: Signer | None = None,
        *,
        at_most_bytes: int,
    ) -> None:
        """`signer`: of the films; None: they are not signed."""
        self._sessions = sessions
        self._signer = signer
        self._storage = storage
        self._inspect = inspect
        self._at_most_bytes = at_most_bytes

    @activity.defn
    async def mix(self, mixing: Mixing) -> Archived:
        """The film and its captions in the archive. The same inputs give the same bytes under the same names, but for
        the signature."""
        generation = mixing.generation
        async with heartbeating(every=HEARTBEAT):
            await self._advance(generation, "Mixing the film")
            try:
                files = await self._make_if_wanted(generation)
            except MediaError as error:
                raise mix_error(error) from error
        return Archived(files=files, provider_url=None)

    async def _make_if_wanted(self, generation: Generation) -> tuple[MediaFile, ...]:
        """Of one whose job has ended meanwhile nothing stays: whoever deleted the job has not waited for us.

        Raises: MediaError.
        """
        try:
            with self._storage.scratch() as folder:
                files = await self._make(generation, folder)
        finally:  # an earlier attempt may have stored what this one does not come to
            if not (is_wanted := await self._is_wanted(generation)):
                await self._storage.delete_below(media_prefix(generation.user_id, generation.id))
        if not is_wanted:
            raise non_retryable(Failure(code=FailureCode.CANCELED, message="Its job ended before it was mixed"))
        return files

    async def _is_wanted(self, generation: Generation) -> bool:
        async with self._sessions() as session:
            job = await find_generation(session, generation.user_id, generation.id)
        return job is not None and job.status not in (Status.CANCELED, Status.FAILED)

    async def _make(self, generation: Generation, folder: Path) -> tuple[MediaFile, ...]:
        """Raises: MediaError."""
        plan = await self._plan(generation, folder)
        async with ByteProgress(self._sessions, generation.id, parts=1) as progress:
            on_part = progress.part(0)
            await make_film(
                plan,
                at_most_bytes=self._at_most_bytes,
                on_progress=lambda fraction: on_part(round(fraction * WHOLE), WHOLE),
            )
        prefix = media_prefix(generation.user_id, generation.id)
        path = await self._signed(generation, Path(plan.to), folder)
        film = await archive_whole(
            await asyncio.to_thread(_saved, path),
            key_prefix=prefix,
            file_name=None,
            storage=self._storage,
            inspect=self._inspect,
            stem=lambda _: STEM,
        )
        if not plan.cues:
            return (film,)
        captions = await archive_captions(plan.cues, stem=CAPTIONS, key_prefix=prefix, storage=self._storage)
        return (film, *captions)

    async def _plan(self, generation: Generation, folder: Path) -> Mix:
        """With its files on the disk. Raises: MediaError."""
        wanted = generation.arguments
        videos = [await self._fetched(generation, reference, folder) for reference in wanted["video"]]
        tracks = [
            Track(
                path=await self._fetched(generation, track["source"], folder),
                start_seconds=track["start_seconds"],
                gain_db=track["gain_db"],
                duck=track["duck"],
                fade_in_seconds=track["fade_in_seconds"],
                fade_out_seconds=track["fade_out_seconds"],
            )
            for track in wanted["tracks"]
        ]
        return Mix(
            videos=tuple(videos),
            tracks=tuple(tracks),
            cues=tuple(await self._cues(generation)),
            ending=Ending(wanted["ending"]),
            to=str(folder / "film.mp4"),
        )

    async def _signed(self, generation: Generation, film: Path, folder: Path) -> Path:
        """The film with what it is made of; as it was, where films are not signed or it is too large.

        Raises: MediaError.
        """
        if self._signer is None:
            return film
        if await asyncio.to_thread(os.path.getsize, film) > LARGEST_BYTES:
            log.warning("film_not_signed", job_id=str(generation.id), reason=f"more than {LARGEST_BYTES >> 20} MiB")
            return film
        ingredients = await self._ingredients(generation, folder)
        statement = Statement(
            path=str(film),
            title=f"{STEM}{film.suffix}",
            content_type="video/mp4",
            source_type=source_type_of(generation),
            ingredients=ingredients,
            to=str(folder / f"signed{film.suffix}"),
        )
        await self._signer.sign(statement)
        return Path(statement.to)

    async def _ingredients(self, generation: Generation, folder: Path) -> tuple[Ingredient, ...]:
        ingredients = []
        for text in sources_of(generation):
            file = await self._file(generation, text)
            path = folder / text.translate(FILE_NAME)
            ingredients.append(Ingredient(path=str(path), title=file.name, content_type=file.content_type))
        return tuple(ingredients)

    async def _fetched(self, generation: Generation, text: str, folder: Path) -> str:
        """The file on the disk, once for all who name it. Raises: MediaError."""
        path = folder / text.translate(FILE_NAME)
        if not path.exists():
            file = await self._file(generation, text)
            await save(self._storage.read(file.key), path, max_bytes=self._at_most_bytes)
        return str(path)

    async def _file(self, generation: Generation, text: str) -> InputFile:
        reference = parse_reference(text)
        assert reference is not None
        async with self._sessions() as session:
            file = await find_input_file(session, generation.user_id, reference)
        if isinstance(file, Unusable) or file.address:
            raise NotInArchive(f"the archive does not hold the input {reference}")
        return file

    async def _cues(self, generation: Generation) -> list[Cue]:
        """Of a transcription by its times, of a voice by its text; from where its sound begins. Raises: MediaError."""
        text = generation.arguments.get("captions")
        reference = parse_reference(text)
        if reference is None:
            return []
        async with self._sessions() as session:
            job = await find_generation(session, generation.user_id, reference.id)
            files = await files_of(session, generation.user_id, [reference.id])
        if job is None or not files:
            raise NotInArchive(f"the archive does not hold the input {reference}")
        if job.job_type == JobType.TRANSCRIPTION:
            content = b"".join([piece async for piece in self._storage.read(files[0].file_path)])
            cues = cues_of(json.loads(content))
        else:
            cues = spoken_cues(spoken_text(job), files[0].duration_seconds or 0.0)
        return moved(cues, start_of(job, generation))

    async def _advance(self, generation: Generation, detail: str) -> None:
        async with one_statement(self._sessions) as session:
            await advance_generation(
                session,
                generation.id,
                status=Status.IN_PROGRESS,
                stage=Stage.ARCHIVING,
                detail=detail,
                provider=generation.provider,
            )


def sources_of(film: Generation) -> list[str]:
    """What its pictures and sounds are taken from, each once."""
    return list(dict.fromkeys([*film.arguments["video"], *(track["source"] for track in film.arguments["tracks"])]))


def source_type_of(film: Generation) -> SourceType:
    references = [parse_reference(text) for text in sources_of(film)]
    is_generated = any(reference and reference.owner is Owner.JOB for reference in references)
    return SourceType.COMPOSITE_WITH_GENERATED if is_generated else SourceType.COMPOSITE


def spoken_text(job: GenerationJob) -> str:
    """What a voice says: the longest text that it was given."""
    texts = [value for value in job.arguments.values() if isinstance(value, str) and parse_reference(value) is None]
    named = job.input_params.get("text")
    return named if isinstance(named, str) else max(texts, key=len, default="")


def start_of(job: GenerationJob, film: Generation) -> float:
    """When the sound of the film begins that the job made, or was made of."""
    sounds = {f"{Owner.JOB}:{job.id}", *(str(value) for value in job.arguments.values())}
    starts = [track["start_seconds"] for track in film.arguments["tracks"] if track["source"] in sounds]
    return float(min(starts, default=0.0))


def mix_error(error: MediaError) -> Exception:
    """What is wrong with the files stays wrong; all else passes."""
    match error:
        case NotInArchive():
            return non_retryable(Failure(code=FailureCode.INPUT_UNAVAILABLE, message=f"The film is not mixed: {error}"))
        case BadMedia() | TooLarge():
            return non_retryable(Failure(code=FailureCode.BAD_MEDIA, message=f"The film cannot be mixed: {error}"))
        case ArchiveMisconfigured():
            return try_again(error, after=timedelta(minutes=1))
        case _:
            return try_again(error, at_most=LONGEST_PAUSE)


def _saved(path: Path) -> Saved:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return Saved(path=path, size_bytes=path.stat().st_size, sha256=digest.hexdigest())
