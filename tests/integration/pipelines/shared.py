"""What tests of pipelines ask for and look at."""

from typing import Any

from tests.eventually import eventually
from tests.running import Service

Plan = dict[str, Any]

ENDED = {"completed", "failed", "canceled"}
FRAME: Plan = {"kind": "first-frame", "input": {"prompt": "a harbour at dawn"}}
VIDEO: Plan = {"kind": "video", "input": {"prompt": "boats leave", "firstFrameUrl": "step:frame"}}
VOICE: Plan = {"kind": "voice", "input": {"text": "Every morning the harbour wakes. Boats leave for the day."}}
WIND: Plan = {"kind": "ambient", "input": {"prompt": "gulls and waves"}}
FILM: Plan = {
    "kind": "mix",
    "video": "step:video",
    "tracks": [{"source": "step:voice"}, {"source": "step:wind", "duck": True, "gainDb": -6}],
    "captions": "step:voice",
}
CLIP: Plan = {"frame": FRAME, "video": VIDEO, "voice": VOICE, "wind": WIND, "film": FILM}


def with_input(step: Plan, **changed: Any) -> Plan:
    return step | {"input": step["input"] | changed}


async def create(service: Service, steps: dict[str, Plan], **words: Any) -> str:
    response = await service.client.post("/api/pipelines", json={"steps": steps, **words})
    assert response.status_code == 202, response.text
    assert response.headers["location"] == response.json()["statusUrl"]
    return str(response.json()["pipelineId"])


async def act_on(service: Service, pipeline_id: str, act: str, **body: Any) -> Plan:
    answer = await service.client.post(f"/api/pipelines/{pipeline_id}/{act}", json=body)
    assert answer.status_code == 202, answer.text
    pipeline: Plan = answer.json()
    return pipeline


async def read(service: Service, pipeline_id: str) -> Plan:
    response = await service.client.get(f"/api/pipelines/{pipeline_id}")
    assert response.status_code == 200, response.text
    pipeline: Plan = response.json()
    return pipeline


async def until(service: Service, pipeline_id: str, wanted: str) -> Plan:
    """The pipeline once its status is that. Fails at once when it ends otherwise."""

    async def seen() -> Plan:
        pipeline = await read(service, pipeline_id)
        assert pipeline["status"] in {wanted, *ENDED}, described(pipeline)
        return pipeline

    pipeline = await eventually(seen)
    assert pipeline["status"] == wanted, described(pipeline)
    return pipeline


async def until_step(service: Service, pipeline_id: str, step: str, wanted: str) -> Plan:
    async def seen() -> Plan:
        pipeline = await read(service, pipeline_id)
        assert pipeline["steps"][step]["status"] == wanted, described(pipeline)
        return pipeline

    return await eventually(seen)


def described(pipeline: Plan) -> str:
    return f"{pipeline['status']}: " + ", ".join(
        f"{name} {step['status']} ({step['errorMessage'] or step['progressMessage']})"
        for name, step in pipeline["steps"].items()
    )


def statuses(pipeline: Plan) -> dict[str, str]:
    return {name: step["status"] for name, step in pipeline["steps"].items()}


async def posts(service: Service, pipeline: Plan) -> int:
    """How many submissions the provider took for its steps."""
    jobs = await service.servers.simulated_jobs()
    return sum(jobs.get(step["jobId"], {"accepted": 0})["accepted"] for step in pipeline["steps"].values())


async def credits_of(service: Service) -> Plan:
    balance: Plan = (await service.client.get("/api/credits")).json()
    return balance
