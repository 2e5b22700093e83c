"""Restate's server, which npm brings for the contender of its name: `make contenders`."""

import json
from importlib.metadata import version
from pathlib import Path

import httpx

from lab.devstack.ports import HOST, free_ports
from lab.devstack.processes import Program
from lab.devstack.temporal import answers_ok

PACKAGES = Path(__file__).with_name("restate") / "node_modules" / "@restatedev"
SERVED_AT = "/restate"
"""The path of the application's services."""
LEFT_OUT = "left out, its server is not installed (make contenders)"


def find_binary() -> Path | None:
    """None where it is not installed, or not made for this machine."""
    return next(PACKAGES.glob("restate-server-*/bin/restate-server"), None)


def versions() -> str:
    binary = find_binary()
    if binary is None:
        return LEFT_OUT
    package = json.loads((binary.parents[1] / "package.json").read_text())
    return f"{package['version']} with restate-sdk {version('restate-sdk')}"


class RestateServer:
    """One node with its own defaults, its data in a folder, on loopback."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary = binary
        self._folder = folder
        self._fabric, ingress, admin = free_ports(3)
        self.ingress_url = f"http://{HOST}:{ingress}"
        self._admin_url = f"http://{HOST}:{admin}"

    def program(self, log_file: Path) -> Program:
        environment = {
            "RESTATE_BASE_DIR": str(self._folder),
            "RESTATE_NODE_NAME": "bench",
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_BIND_ADDRESS": f"{HOST}:{self._fabric}",
            "RESTATE_INGRESS__BIND_ADDRESS": self.ingress_url.removeprefix("http://"),
            "RESTATE_ADMIN__BIND_ADDRESS": self._admin_url.removeprefix("http://"),
            "RESTATE_DISABLE_TELEMETRY": "true",
        }
        return Program(
            name="restate",
            command=(str(self._binary), "--no-logo"),
            environment=environment,
            log_file=log_file,
            answers=self._answers,
        )

    async def register(self, service_url: str) -> None:
        """The services that an application serves there."""
        async with httpx.AsyncClient(base_url=self._admin_url, timeout=30, trust_env=False) as admin:
            deployment = {"uri": service_url, "use_http_11": True}
            (await admin.post("/deployments", json=deployment)).raise_for_status()

    async def _answers(self, pid: int, /) -> bool:
        return await answers_ok(f"{self._admin_url}/health") and await answers_ok(f"{self.ingress_url}/restate/health")
