"""Endpoints as their user works with them."""

from dataclasses import dataclass
from typing import Any

from tests.eventually import eventually
from tests.running import Service


@dataclass(frozen=True)
class Endpoint:
    service: Service
    id: str
    secret: str

    @property
    def path(self) -> str:
        return f"/api/webhook-endpoints/{self.id}"

    async def read(self) -> dict[str, Any]:
        response = await self.service.client.get(self.path)
        assert response.status_code == 200, response.text
        shown: dict[str, Any] = response.json()
        return shown

    async def until(self, status: str) -> dict[str, Any]:
        async def is_so() -> dict[str, Any]:
            shown = await self.read()
            assert shown["status"] == status, shown
            return shown

        return await eventually(is_so)

    async def deliveries(self, **filters: Any) -> list[dict[str, Any]]:
        response = await self.service.client.get(f"{self.path}/deliveries", params=filters)
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()["data"]
        return found

    async def post(self, call: str, body: dict[str, Any] | None = None, *, status: int = 202) -> dict[str, Any]:
        response = await self.service.client.post(f"{self.path}/{call}", json=body)
        assert response.status_code == status, response.text
        answer: dict[str, Any] = response.json()
        return answer


async def create_endpoint(service: Service, url: str, **more: Any) -> Endpoint:
    response = await service.client.post("/api/webhook-endpoints", json={"url": url, **more})
    assert response.status_code == 201, response.text
    created = response.json()
    return Endpoint(service, created["id"], created["secret"])
