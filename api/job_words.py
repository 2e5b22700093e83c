"""What a job says of itself to its user, in the language asked for: docs/decisions/022.

The row's own texts are English, for operators and the timeline.
"""

from reelay.db.tables import GenerationJob
from reelay.domain.failure import FailureCode
from reelay.domain.generation import GenerationStatus, Status
from reelay.domain.language import Language
from reelay.domain.messages import message, said_again
from reelay.domain.progress import WAITING


def progress_message(row: GenerationJob, at: GenerationStatus, language: Language) -> str:
    """By the status and the stage, and in more detail where the row keeps a sentence of the table."""
    if kept := said_again(at.message, language):
        return kept
    if at.status.is_final:
        return message(f"ended_{at.status}", language)
    stage = "waiting" if at.message.startswith(WAITING) else at.stage
    return message(f"stage_{stage}", language, provider=row.provider)


def error_code(row: GenerationJob) -> str | None:
    return FailureCode.CANCELED if row.status == Status.CANCELED else row.error_code


def error_message(row: GenerationJob, language: Language) -> str | None:
    """By the error code; a provider's own reason is quoted as it came."""
    code, reason = error_code(row), row.error_message or ""
    if code not in set(FailureCode):  # of a row that another system made
        return row.error_message
    return said_again(reason, language) or message(f"error_{code}", language, reason=reason)
