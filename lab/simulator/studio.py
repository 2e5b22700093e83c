"""The studio backend: takes jobs, whose progress and videos it pushes to the webhook that came with them."""

from typing import Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from lab.simulator.faults import Fault
from lab.simulator.queue import CancelStatus, Submission
from lab.simulator.refusals import Refused
from lab.simulator.requests import Provider
from lab.simulator.simulator import Running
from lab.simulator.studio_models import MODELS
from lab.simulator.submissions import accept, faults_in, lost_answer

router = APIRouter(prefix="/studio")


class Job(BaseModel):
    job_id: str
    content_type: str
    model: str
    input: dict[str, Any]
    webhook_url: str | None
    version: int
    attempt: int


@router.post("/jobs")
async def submit(simulator: Running, http: Request, job: Job, authorization: str = Header("")) -> Response:
    secret = simulator.settings.studio_secret
    if secret and authorization != f"Bearer {secret.get_secret_value()}":
        raise Refused(401, {"error": "wrong secret"})
    if job.model not in MODELS:
        raise Refused(404, {"error": f"no model {job.model}"})
    if simulator.queue.find(Provider.STUDIO, job.job_id):
        raise Refused(409, {"error": "this job is here already", "job_id": job.job_id})
    submission = _submission(job, simulator.settings.public_url or f"{http.url.scheme}://{http.url.netloc}")
    fault = simulator.queue.submit_fault(submission)
    if refusal := REFUSALS.get(fault) if fault else None:
        simulator.queue.refuse(submission, refusal.status_code)
        raise refusal
    request = await accept(simulator, submission)
    if lost := await lost_answer(simulator, request, fault):
        return lost
    return JSONResponse({"job_id": request.id, "status": "pending"}, 202)


@router.delete("/jobs/{job_id}")
async def cancel(simulator: Running, job_id: str) -> Response:
    request = simulator.queue.find(Provider.STUDIO, job_id)
    if request is None:
        raise Refused(404, {"error": "no such job"})
    answer = simulator.queue.cancel(request)
    if answer is not CancelStatus.ALREADY_COMPLETED:
        simulator.webhook_sender.dispatch(request)
    return JSONResponse({"job_id": job_id, "status": answer})


REFUSALS = {
    Fault.SUBMIT_429: Refused(429, {"error": "too many jobs"}, {"retry-after": "1"}),
    Fault.SUBMIT_500: Refused(500, {"error": "internal error"}),
    Fault.SUBMIT_403_LOCKED: Refused(403, {"error": "locked"}),
}


def _submission(job: Job, origin: str) -> Submission:
    return Submission(
        provider=Provider.STUDIO,
        request_id=job.job_id,
        job_id=job.job_id,
        endpoint=job.model,
        input=job.input,
        origin=origin,
        webhook_url=job.webhook_url,
        faults=faults_in(job.input),
    )
