"""The environment of the parts of the embedded stack."""

from collections.abc import Mapping

from lab.simulator.settings import REPLICATE_WEBHOOK_SECRET
from reelay.cli.errors import StackError
from reelay.settings import Environment

WORKER_HEALTH_PORT = "WORKER_HEALTH_PORT"
SIMULATED_FAL_KEY = "simulated-key-id:simulated-key-secret"
SIMULATED_FAL_ACCOUNT = "github_40000001"
SIMULATED_REPLICATE_TOKEN = "r8_simulated"
FAL_KEYS = ("FAL_KEY", "FAL_API_KEY", "FAL_KEY_NEW")  # any will do; the second is the old name of the first
PROVIDER_SETTINGS = (*FAL_KEYS, "REPLICATE_API_TOKEN", "STUDIO_BACKEND_URL", "WEBHOOK_SECRET")
"""Any of them sets a provider up."""


def part_environment(
    user: Mapping[str, str], *, ours: Mapping[str, str], defaults: Mapping[str, str]
) -> dict[str, str]:
    """`ours` wins over the user's, the user's over the defaults.

    Not passed on are how they reach their own Temporal, and their worker's port: a stack that serves its metrics says
    where.
    """
    passed_on = {
        name: value for name, value in user.items() if not name.startswith("TEMPORAL_") and name != WORKER_HEALTH_PORT
    }
    return {**defaults, **passed_on, **ours}


def simulated_provider(simulator_url: str) -> dict[str, str]:
    """With the simulator nothing may reach a real provider, whatever the user's environment says."""
    return {
        **dict.fromkeys((*FAL_KEYS, "FAL_ADMIN_KEY"), SIMULATED_FAL_KEY),
        "FAL_USER_ID": SIMULATED_FAL_ACCOUNT,
        "FAL_QUEUE_BASE": simulator_url,
        "FAL_API_BASE": simulator_url,
        "FAL_PLATFORM_BASE": f"{simulator_url}/v1",
        "FAL_JWKS_URL": f"{simulator_url}/.well-known/jwks.json",
        "REPLICATE_API_TOKEN": SIMULATED_REPLICATE_TOKEN,
        "REPLICATE_API_BASE": simulator_url,
        "REPLICATE_WEBHOOK_SECRET": REPLICATE_WEBHOOK_SECRET,
        "STUDIO_BACKEND_URL": f"{simulator_url}/studio/jobs",
    }


def worker_health_port(user: Mapping[str, str]) -> int | None:
    """Where the user wants to watch the worker. Raises: StackError."""
    if (port := user.get(WORKER_HEALTH_PORT)) is None:
        return None
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise StackError(f"{WORKER_HEALTH_PORT}: it must be a port, from 1 to 65535")
    return int(port)


def require_development(user: Mapping[str, str]) -> None:
    environment = user.get("ENVIRONMENT", Environment.DEVELOPMENT)
    if environment != Environment.DEVELOPMENT:
        raise StackError(
            f"ENVIRONMENT is {environment}, and this stack is for development alone: it admits http and loopback, and "
            "its simulator replaces the providers. Unset it here; for production see docs/deploy.md"
        )


def require_provider(user: Mapping[str, str]) -> None:
    if user.keys().isdisjoint(PROVIDER_SETTINGS):
        raise StackError(
            "without the simulator a real provider is needed: set FAL_KEY, or another of "
            f"{', '.join(PROVIDER_SETTINGS[1:])}, in the environment or in .env"
        )
