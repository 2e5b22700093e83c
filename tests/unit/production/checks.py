"""What can be wrong with a compose file, held against the code. Each check returns its complaints."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

from starlette.applications import Starlette
from starlette.routing import Match
from typer.testing import CliRunner

from api.app import create_app
from lab.simulator.app import create_simulator
from lab.simulator.settings import SimulatorSettings
from reelay.cli.main import app as command_line
from reelay.process_secrets import WORKERS, Process, is_read_by
from reelay.settings import Environment, Settings
from reelay.worker_health import WorkerHealth, health_app
from tests.paths import ROOT
from tests.unit.production.files import Compose, filled_in, last, resolved
from tests.unit.production.variables import is_read, settings_variables

Service = dict[str, Any]
PINNED = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)*")
HOST_AND_PORT = re.compile(r"(?:^|@|//)([a-z][a-z0-9.-]*):\d+")
SECRET = re.compile(r"PASSWORD|PWD|SECRET|KEY|PEPPER|TOKEN")
DEMANDED = re.compile(r"\$\{\w+:\?[^}]*\}")


def ours(compose: Compose) -> Iterator[tuple[str, Service]]:
    return ((name, each) for name, each in compose["services"].items() if each["image"].startswith("reelay:"))


def unpinned_images(compose: Compose) -> list[str]:
    images = {name: each["image"] for name, each in compose["services"].items()}
    return [f"{name}: {image}" for name, image in images.items() if not PINNED.fullmatch(image)]


def unknown_commands(compose: Compose) -> list[str]:
    """`--help` is obeyed once all else was understood."""
    commands = {name: each["command"] for name, each in ours(compose)}
    return [
        f"{name}: {' '.join(command)}"
        for name, command in commands.items()
        if CliRunner().invoke(command_line, [*command, "--help"]).exit_code
    ]


def unread_variables(compose: Compose) -> list[str]:
    return [
        f"{name}: {each}" for name, service in ours(compose) for each in service["environment"] if not is_read(each)
    ]


PROCESSES = {"api": frozenset({Process.API}), "worker": WORKERS, "migrate": frozenset({Process.MIGRATION})}


def missing_variables(compose: Compose) -> list[str]:
    """What somebody sets in `.env` has to arrive, at each process that reads it."""
    return [
        f"{name}: {variable}"
        for name in ("api", "worker")
        for variable in settings_variables().values()
        if is_read_by(variable, PROCESSES[name]) and variable not in compose["services"][name]["environment"]
    ]


def secrets_of_others(compose: Compose) -> list[str]:
    """Each process is given the secrets that it reads, and no other."""
    return [
        f"{name}: {variable}"
        for name, processes in PROCESSES.items()
        for variable in compose["services"][name]["environment"]
        if not is_read_by(variable, processes)
    ]


def unmet_needs(compose: Compose) -> list[str]:
    """Every host that a service is told of is a service that was waited for."""
    environment = filled_in() | {"AWS_ENDPOINT_URL": "http://s3.localhost:7070"}
    services = resolved(compose, environment)["services"]
    hosts = {name: name for name in services}
    hosts |= {alias: name for name, each in services.items() for alias in aliases(each)}
    return [
        f"{name}: {host}"
        for name, service in services.items()
        for host in hosts_told(service)
        if hosts.get(host) not in waited_for(services, name)
    ]


def aliases(service: Service) -> list[str]:
    found: list[str] = service.get("networks", {}).get("default", {}).get("aliases", [])
    return found


def hosts_told(service: Service) -> set[str]:
    values = {name: value for name, value in service.get("environment", {}).items() if isinstance(value, str)}
    named = {value for name, value in values.items() if name.endswith(("_HOST", "_SEEDS"))}
    return named | {host for value in values.values() for host in HOST_AND_PORT.findall(value)}


def waited_for(services: dict[str, Service], name: str) -> set[str]:
    direct = set(services[name].get("depends_on", {}))
    return direct.union(*(waited_for(services, each) for each in direct))


def wrong_conditions(compose: Compose) -> list[str]:
    """One that ends is waited for to its end; one that can say that it is healthy, until it does."""
    return [
        f"{name} waits for {needed}: {how['condition']}"
        for name, service in compose["services"].items()
        for needed, how in service.get("depends_on", {}).items()
        if how["condition"] != due_condition(compose["services"][needed])
    ]


def due_condition(service: Service) -> str:
    if is_one_shot(service):
        return "service_completed_successfully"
    watched = "test" in service.get("healthcheck", {})
    return "service_healthy" if watched else "service_started"


def is_one_shot(service: Service) -> bool:
    return str(service["restart"]).startswith("on-failure")


def wrong_health_checks(compose: Compose) -> list[str]:
    """Ours ask a route that exists, at the port that the command opens; a command without routes asks for none."""
    return [f"{name}: {service.get('healthcheck')}" for name, service in ours(compose) if not is_asked_rightly(service)]


def is_asked_rightly(service: Service) -> bool:
    command, healthcheck = service["command"], service.get("healthcheck", {})
    if command[0] not in APPLICATIONS:
        return bool(healthcheck == {"disable": True})
    url = re.search(r"http://127\.0\.0\.1:(\d+)(/\S*)'", str(healthcheck.get("test", last("HEALTHCHECK"))))
    return url is not None and url[1] == port_of(service) and answers(APPLICATIONS[command[0]](), url[2])


def port_of(service: Service) -> str:
    command: list[str] = service["command"]
    if command[0] == "worker":
        return str(resolved(service["environment"]["WORKER_HEALTH_PORT"], filled_in()))
    return command[command.index("--port") + 1]


def answers(application: Starlette, path: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(scope)[0] is Match.FULL for route in application.routes)


APPLICATIONS: dict[str, Callable[[], Starlette]] = {
    "api": lambda: create_app(Settings(environment=Environment.PRODUCTION, _env_file=None)),
    "worker": lambda: health_app(cast(WorkerHealth, None), ""),  # for its routes
    "simulator": lambda: create_simulator(SimulatorSettings(media_dir=ROOT)),
}


def unwatched_services(compose: Compose) -> list[str]:
    """Those of others that stay up without saying whether they are well."""
    mine = dict(ours(compose))
    return [
        name
        for name, each in compose["services"].items()
        if name not in mine and not is_one_shot(each) and "test" not in each.get("healthcheck", {})
    ]


def open_ports(compose: Compose) -> list[str]:
    published = [(name, port) for name, each in compose["services"].items() for port in each.get("ports", [])]
    return [f"{name}: {port}" for name, port in published if not str(port).startswith("127.0.0.1:")]


def guessable_secrets(compose: Compose) -> list[str]:
    """Secrets come from outside, and the stack does not start without them."""
    return [
        f"{name}: {variable}"
        for name, service in compose["services"].items()
        for variable, value in service.get("environment", {}).items()
        if not is_demanded(variable, value)
    ] + [
        f"roles: {each}"
        for each in re.findall(r"password '(.*)'", roles_script(compose))
        if not DEMANDED.fullmatch(each)
    ]


def is_demanded(variable: str, value: str | None) -> bool:
    if value is None:
        return True
    if password := re.search(r"://[^:/@]+:(.+)@", value):
        return bool(DEMANDED.fullmatch(password[1]))
    return not SECRET.search(variable) or bool(DEMANDED.fullmatch(value))


def roles_script(compose: Compose) -> str:
    """Empty where the database is somebody else's."""
    script: str = compose.get("configs", {}).get("roles", {}).get("content", "")
    return script


def short_graces(compose: Compose) -> list[str]:
    """Who serves or works needs its own grace, and a moment to close what it has open."""
    graces = {name: str(compose["services"][name].get("stop_grace_period", "10s")) for name in ("api", "worker")}
    needed = Settings.model_fields["grace"].default.total_seconds() + 5
    return [f"{name}: {grace}" for name, grace in graces.items() if int(grace.removesuffix("s")) <= needed]


def unbounded_services(compose: Compose) -> list[str]:
    """What takes all memory or fills the disk with its log takes the others with it."""
    return [
        name
        for name, each in compose["services"].items()
        if "mem_limit" not in each or "max-size" not in each.get("logging", {}).get("options", {})
    ]


def early_processes(compose: Compose) -> list[str]:
    """Who works with the database, or starts workflows, waits for `migrate`."""
    return [name for name in ("api", "worker") if "migrate" not in compose["services"][name].get("depends_on", {})]


def late_search_attributes(compose: Compose) -> list[str]:
    """`migrate` registers them in the namespace, which has to be there."""
    return [] if "temporal-namespace" in compose["services"]["migrate"]["depends_on"] else ["migrate"]


def unmounted_bucket(compose: Compose) -> list[str]:
    """A folder of the S3 store's backend is a bucket: that of ARCHIVE_URL has to be the volume."""
    services = resolved(compose, filled_in())["services"]
    bucket = services["api"]["environment"]["ARCHIVE_URL"].removeprefix("s3://").split("/")[0]
    folder = f"{services['s3']['environment']['VGW_BACKEND_ARG']}/{bucket}"
    return [] if any(each.endswith(f":{folder}") for each in services["s3"]["volumes"]) else [folder]


def different_defaults(compose: Compose) -> list[str]:
    """The image by itself does what the service `api` does."""
    command = compose["services"]["api"]["command"]
    return [] if command == json.loads(last("CMD")) else [f"api: {command}"]


COMMON: tuple[Callable[[Compose], list[str]], ...] = (
    unpinned_images,
    unknown_commands,
    unread_variables,
    missing_variables,
    secrets_of_others,
    wrong_conditions,
    wrong_health_checks,
    unwatched_services,
    open_ports,
    guessable_secrets,
    short_graces,
    unbounded_services,
    early_processes,
    different_defaults,
)
"""Of both files."""
CHECKS = (*COMMON, unmet_needs, late_search_attributes, unmounted_bucket)
