"""The chat's messages and answers."""

from typing import Any, Literal

from pydantic import Field

from api.generations.schemas import ExternalId
from api.http.wire import Text, Wire

AnswerType = Literal["info", "video", "image", "audio", "text", "error"]


class ChatRequest(Wire):
    message: Text = Field(max_length=25_000, description="A command, e.g. `/video <prompt>`; `/help` lists them.")
    confirm: bool = Field(False, description="Needed above the interactive budget; `/confirm` says the same.")


class TaskRequest(Wire):
    task_id: ExternalId = Field(description="Yours. The same task is started once.")
    prompt: Text
    confirm: bool = Field(False, description="Needed above the interactive budget.")


class ChatAnswer(Wire):
    success: bool
    type: AnswerType
    """How to show `content`."""
    content: dict[str, Any]
    metadata: dict[str, Any]
