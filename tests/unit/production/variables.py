"""Who reads which variable of the environment."""

import re

from obstore.exceptions import BaseError, UnknownConfigurationKeyError
from obstore.store import AzureStore, GCSStore, S3Store
from opentelemetry.sdk import environment_variables
from temporalio.envconfig import ClientConfigProfile

from reelay.process_secrets import Process
from reelay.settings import Settings
from tests.paths import ROOT

COMMANDS = {
    Process.API: "api",
    Process.GENERATIONS: "worker --queues generations",
    Process.TRANSFERS: "worker --queues transfers",
    Process.WEBHOOKS: "worker --queues webhooks",
    Process.MIGRATION: "migrate",
}
"""Of `reelay`, that each process is."""


def settings_variables() -> dict[str, str]:
    """Of each field of Settings, the variable that sets it; of several, the preferred one."""
    return {name: Settings.variable_of(name) for name in Settings.model_fields}


def command_variables() -> set[str]:
    """Those that the `reelay` command asks for by name."""
    sources = [*(ROOT / "reelay" / "cli").glob("*.py"), *(ROOT / "lab").rglob("*.py")]
    asked = re.compile(r'environment(?:\(\))?\.get\("([A-Z_]+)"')
    return {name for source in sources for name in asked.findall(source.read_text())}


def is_read(variable: str) -> bool:
    """By ours, by Temporal's client, by OpenTelemetry or by the object store's."""
    if variable in {*settings_variables().values(), *command_variables()}:
        return True
    if variable.startswith("TEMPORAL_"):
        return is_read_by_temporal(variable)
    if variable.startswith("OTEL_"):
        return hasattr(environment_variables, variable)
    return variable.startswith(tuple(STORES)) and is_read_by_obstore(variable)


def is_read_by_temporal(variable: str) -> bool:
    nothing, something = (
        ClientConfigProfile.load(disable_file=True, override_env_vars=each) for each in ({}, {variable: "true"})
    )
    return nothing != something


STORES = {"AWS_": S3Store, "GOOGLE_": GCSStore, "AZURE_": AzureStore}


def is_read_by_obstore(variable: str) -> bool:
    store = STORES[f"{variable.partition('_')[0]}_"]
    try:
        store("bucket", config={variable: "value"})  # the very question is whether it is a key
    except UnknownConfigurationKeyError:
        return False
    except BaseError:
        return True
    return True
