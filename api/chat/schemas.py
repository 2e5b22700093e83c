"""The chat's messages and answers."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from api.generations.schemas import ExternalId
from api.http.wire import Text, Wire

AnswerType = Literal["info", "video", "image", "audio", "text", "error"]


class ChatRequest(Wire):
    """A message of a chat."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"message": "/video A lighthouse in the rain"}]})

    message: Text = Field(max_length=25_000)
    """A command, for example `/video <prompt>`; `/help` lists them all."""
    confirm: bool = False
    """Confirms a price above the interactive budget, as `/confirm` before the command does."""


class TaskRequest(Wire):
    """A video to generate under an id of your own."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"taskId": "video_1703265432_abc123", "prompt": "A lighthouse in the rain"}]}
    )

    task_id: ExternalId
    """Your own id for the task. The same task is started once."""
    prompt: Text
    """What the video shows."""
    confirm: bool = False
    """Confirms a price above the interactive budget, without which such a request answers 409."""


class ChatAnswer(Wire):
    """An answer for a chat to show."""

    success: bool
    """Whether what was asked for was done."""
    type: AnswerType
    """How to show `content`."""
    content: dict[str, Any]
    """The answer: `message` for a person, and by `type` the `taskId`, the media's `url`, the `error` and the like."""
    metadata: dict[str, Any]
    """The `taskId` and the `status` of the task, where the answer is about one."""
