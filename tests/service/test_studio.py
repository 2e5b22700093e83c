"""The studio backend, which pushes: a job from POST to archived videos, by what the backend tells of itself."""

from tests.running import Service


async def test_job_goes_from_post_to_three_archived_videos(patient_service: Service) -> None:
    response = await patient_service.client.post(
        "/api/jobs", json={"model": "studio-video", "input": {"prompt": "three takes of a harbour", "numVideos": 3}}
    )
    assert response.status_code == 202, response.text
    job = await patient_service.until(response.json()["jobId"], "completed")
    print(job)
    assert len(job["files"]) == 3
