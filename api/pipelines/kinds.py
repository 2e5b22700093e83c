"""What steps make and what inputs want, so that a sound is not taken for a first frame."""

from api.pipelines.schemas import GenerationStep, MixStep
from api.services import Services
from reelay.catalog.errors import UnknownModel
from reelay.catalog.model import KINDS, JobKind
from reelay.domain.generation import JobType
from reelay.media.archive import PROMISED_KIND
from reelay.media.sniff import MediaKind

TRANSCRIPT = "transcript"
JOB_TYPES = {kind: job_type for job_type, kind in KINDS.items()}
SOUNDS = frozenset({MediaKind.AUDIO.value, MediaKind.VIDEO.value})
MIXED = {
    "video": frozenset({MediaKind.VIDEO.value}),
    "audio": SOUNDS,
    "captions": frozenset({TRANSCRIPT, MediaKind.AUDIO.value}),
}
"""By the part of a mix."""
WANTED = {
    "audio": SOUNDS,
    "video": frozenset({MediaKind.VIDEO.value}),
    "image": frozenset({MediaKind.IMAGE.value}),
    "frame": frozenset({MediaKind.IMAGE.value}),
}
"""By a word in the name of an argument."""


def made_by(services: Services, step: GenerationStep | MixStep) -> str | None:
    """The kind of its file; None where nobody knows."""
    if isinstance(step, MixStep):
        return MediaKind.VIDEO.value
    if step.kind:
        job_type = JOB_TYPES[JobKind(step.kind)]
    else:
        try:
            job_type = services.catalog.find(step.model or "").job_type
        except UnknownModel:
            return None
    if job_type is JobType.TRANSCRIPTION:
        return TRANSCRIPT
    promised = PROMISED_KIND.get(job_type)
    return promised.value if promised else None


def wanted_by(argument: str) -> frozenset[str] | None:
    """What kinds the argument takes; None where its name does not say."""
    return next((kinds for word, kinds in WANTED.items() if word in argument.lower()), None)


def can_take(wanted: frozenset[str] | None, made: str | None) -> bool:
    return wanted is None or made is None or made in wanted
