"""What a backend writes with the client that openapi-python-client generates: without a cast."""

import json
import os

from httpx import Timeout
from reelay_api_client import AuthenticatedClient
from reelay_api_client.api.generate import generate_video, generate_voice
from reelay_api_client.api.generations import read_job
from reelay_api_client.api.models import list_models
from reelay_api_client.models import (
    CreatedView,
    JobView,
    ModelList,
    ProblemView,
    VideoRequest,
    VoiceRequest,
    WaitedView,
)
from reelay_api_client.models.problem_code import ProblemCode
from reelay_api_client.models.quality import Quality
from reelay_api_client.models.status import Status

ENDED = (Status.COMPLETED, Status.FAILED, Status.CANCELED)


def create_video(client: AuthenticatedClient, prompt: str) -> str:
    created = generate_video.sync(client=client, body=VideoRequest(prompt=prompt, quality=Quality.FAST))
    assert isinstance(created, CreatedView), created
    return str(created.job_id)


def until_ended(client: AuthenticatedClient, job_id: str) -> JobView:
    while True:
        job = read_job.sync(job_id, client=client, wait=20.0)
        assert isinstance(job, JobView), job
        if job.status in ENDED:
            return job


def create_and_wait(client: AuthenticatedClient, text: str) -> str | None:
    waited = generate_voice.sync(client=client, body=VoiceRequest(text=text), prefer="wait=60")
    assert isinstance(waited, WaitedView), waited
    return waited.result_url


def refusal(client: AuthenticatedClient) -> ProblemCode:
    refused = read_job.sync("none of mine", client=client)
    assert isinstance(refused, ProblemView), refused
    return refused.code


def main() -> None:
    client = AuthenticatedClient(
        base_url=os.environ["REELAY_URL"], token=os.environ["REELAY_API_KEY"], timeout=Timeout(90)
    )
    models = list_models.sync(client=client)
    assert isinstance(models, ModelList), models
    job = until_ended(client, create_video(client, "A lighthouse in the rain"))
    print(  # noqa: T201
        json.dumps(
            {
                "models": len(models.data),
                "status": job.status.value,
                "fileUrl": job.files[0].file_url,
                "voiceUrl": create_and_wait(client, "Welcome to the harbour."),
                "refused": refusal(client).value,
            }
        )
    )


if __name__ == "__main__":
    main()
