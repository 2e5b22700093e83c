"""The chat's calls, and a second path for each where clients of an n8n workflow expect it."""

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from api.chat.answers import ChatAnswer
from api.chat.commands import Said, TheCommands
from api.generations.schemas import ExternalId
from api.http.problems import problems
from api.http.wire import Text, Wire
from reelay.settings import Settings

CHAT_PATH = "/api/chat"
TASKS_PATH = "/api/tasks"


class ChatRequest(Wire):
    message: Text = Field(max_length=25_000, description="A command, e.g. `/video <prompt>`; `/help` lists them.")
    confirm: bool = Field(False, description="Needed above the interactive budget; `/confirm` says the same.")


class TaskRequest(Wire):
    task_id: ExternalId = Field(description="Yours. The same task is started once.")
    prompt: Text
    confirm: bool = Field(False, description="Needed above the interactive budget.")


def chat_routes(settings: Settings) -> APIRouter:
    router = APIRouter(tags=["chat"])
    router.add_api_route(CHAT_PATH, chat, methods=["POST"], response_model=ChatAnswer)
    router.add_api_route(
        TASKS_PATH,
        create_task,
        methods=["POST"],
        response_model=ChatAnswer,
        status_code=HTTPStatus.ACCEPTED,
        responses=problems(HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.CONFLICT),
    )
    for path, call, status in (
        (settings.chat_webhook_path, chat, HTTPStatus.OK),
        (settings.task_webhook_path, create_task, HTTPStatus.ACCEPTED),
    ):
        if path not in (CHAT_PATH, TASKS_PATH):
            router.add_api_route(path, call, methods=["POST"], status_code=status, include_in_schema=False)
    return router


async def chat(body: ChatRequest, commands: TheCommands) -> JSONResponse:
    """Generate by a message, and ask after it by another. Always 200 for what was understood as a message."""
    return shown(await commands.answer(body.message, confirmed=body.confirm), HTTPStatus.OK)


async def create_task(body: TaskRequest, commands: TheCommands) -> JSONResponse:
    """Start the chat's video under a task id of the caller's own."""
    said = await commands.start_task(body.task_id, body.prompt, confirmed=body.confirm)
    return shown(said, HTTPStatus.ACCEPTED)


def shown(said: Said, status: HTTPStatus) -> JSONResponse:
    return JSONResponse(said.answer.model_dump(mode="json", by_alias=True), status, said.headers)
