"""deploy/kubernetes against the code: built by kubectl, no cluster is needed to find what could not work."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from shutil import copytree
from subprocess import run
from typing import Any, NamedTuple, get_args

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from reelay.cli.main import app as command_line
from reelay.process_secrets import SECRETS, Process, is_read_by
from reelay.settings import Settings
from tests.paths import ROOT
from tests.unit.production.checks import APPLICATIONS, answers
from tests.unit.production.files import last
from tests.unit.production.variables import COMMANDS, is_read
from workflows.task_queues import transfers_queue, webhooks_queue

Resource = dict[str, Any]
Resources = list[Resource]
Check = Callable[[Resources], list[str]]
MANIFESTS = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("neon-r2", "supabase-s3", "rds-s3")
COMPONENTS = ("keda", "worker-controller", "temporal-mtls", "content-credentials")
OF_OTHERS = ("keda.sh/", "temporal.io/")
"""API groups whose schemas are not Kubernetes' own."""
MOMENT_SECONDS = 15
"""What a process needs beside its graces: docs/deploy.md."""


class Pod(NamedTuple):
    """One that runs a process of ours."""

    name: str
    process: Process
    labels: dict[str, str]
    spec: Resource
    container: Resource


def built(folder: Path) -> Resources:
    kubectl = Path(sys.executable).with_name("kubectl")
    done = run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False, env={"PATH": os.defpath})
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module", params=[*OVERLAYS, *COMPONENTS])
def resources(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Resources:
    """Of an overlay, or of one with a component."""
    if request.param in OVERLAYS:
        return built(MANIFESTS / "overlays" / request.param)
    folder = tmp_path_factory.mktemp("kubernetes") / "manifests"
    copytree(MANIFESTS, folder)
    overlay = folder / "overlays" / OVERLAYS[0]
    file = overlay / "kustomization.yaml"
    settings = yaml.safe_load(file.read_text()) | {"components": [f"../../components/{request.param}"]}
    file.write_text(yaml.safe_dump(settings))
    return built(overlay)


def of_kind(resources: Resources, *kinds: str) -> Resources:
    return [each for each in resources if each["kind"] in kinds]


def templates(resources: Resources) -> Iterator[Resource]:
    for each in of_kind(resources, "Deployment", "Job"):
        yield each["spec"]["template"]
    for each in of_kind(resources, "WorkerDeployment"):
        yield each["spec"]["deployment"]["template"]
        yield from (pool["deployment"]["template"] for pool in each["spec"]["pools"])


def pods(resources: Resources) -> list[Pod]:
    processes = {command: process for process, command in COMMANDS.items()}
    found = []
    for template in templates(resources):
        (container,) = template["spec"]["containers"]
        command = " ".join(container["args"]).partition(" --host")[0]
        labels = template["metadata"]["labels"]
        found.append(Pod(labels["app.kubernetes.io/name"], processes[command], labels, template["spec"], container))
    return found


def settings_of(resources: Resources) -> dict[str, str]:
    (found,) = of_kind(resources, "ConfigMap")
    values: dict[str, str] = found["data"]
    return values


def secrets_of(pod: Pod) -> set[str]:
    return {variable["name"] for variable in pod.container["env"]}


def invalid(resources: Resources) -> list[str]:
    complaints = []
    for each in resources:
        if each["apiVersion"].startswith(OF_OTHERS):
            continue
        try:
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
        except kubernetes_validate.ValidationError as error:
            complaints.append(f"{each['kind']} {each['metadata']['name']}: {error.message}")
    return complaints


def missing_processes(resources: Resources) -> list[str]:
    return sorted(set(Process) - {pod.process for pod in pods(resources)})


def unknown_commands(resources: Resources) -> list[str]:
    return [
        pod.name
        for pod in pods(resources)
        if CliRunner().invoke(command_line, [*pod.container["args"], "--help"]).exit_code
    ]


def unread_settings(resources: Resources) -> list[str]:
    return [name for name in settings_of(resources) if not is_read(name) or name in SECRETS]


def unsettled_pods(resources: Resources) -> list[str]:
    """All have the settings, under the name that changes with them."""
    (generated,) = of_kind(resources, "ConfigMap")
    name = generated["metadata"]["name"]
    return [pod.name for pod in pods(resources) if pod.container["envFrom"] != [{"configMapRef": {"name": name}}]]


def wrong_secrets(resources: Resources) -> list[str]:
    """Each process is given the secrets that it reads, and no other; a path of a file is mounted by a component."""
    return [
        f"{pod.name}: {name}"
        for pod in pods(resources)
        for name in SECRETS
        if (name in secrets_of(pod)) is not is_read_by(name, frozenset({pod.process}))
        and not (is_path(name) and name not in secrets_of(pod))
    ]


def is_path(variable: str) -> bool:
    fields = {Settings.variable_of(name): field for name, field in Settings.model_fields.items()}
    return variable.endswith("_PATH") or (variable in fields and Path in get_args(fields[variable].annotation))


def misnamed_secrets(resources: Resources) -> list[str]:
    return [
        f"{pod.name}: {variable['name']}"
        for pod in pods(resources)
        for variable in pod.container["env"]
        if "value" not in variable
        and (variable["valueFrom"]["secretKeyRef"]["name"], variable["valueFrom"]["secretKeyRef"]["key"])
        != ("reelay", variable["name"])
    ]


def wrong_probes(resources: Resources) -> list[str]:
    """Each serving process is asked by routes that exist, at the port that its command opens."""
    complaints = []
    for pod in pods(resources):
        if pod.process is Process.MIGRATION:
            continue
        args = pod.container["args"]
        port = args[args.index("--port") + 1] if "--port" in args else settings_of(resources)["WORKER_HEALTH_PORT"]
        ports = {each["name"]: str(each["containerPort"]) for each in pod.container["ports"]}
        for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            asked = pod.container[probe]["httpGet"]
            if asked["path"] != path or ports[asked["port"]] != port or not answers(APPLICATIONS[args[0]](), path):
                complaints.append(f"{pod.name}: {probe}")
    return complaints


def short_graces(resources: Resources) -> list[str]:
    settings = settings_of(resources)
    needed = int(settings["GRACE_SECONDS"]) + int(settings["DRAIN_SECONDS"]) + MOMENT_SECONDS
    return [pod.name for pod in pods(resources) if pod.spec["terminationGracePeriodSeconds"] < needed]


def lax_pods(resources: Resources) -> list[str]:
    """Neither root nor a token nor a writable image, and memory has a limit."""
    return [
        pod.name
        for pod in pods(resources)
        if not pod.spec["securityContext"]["runAsNonRoot"]
        or f"{pod.spec['securityContext']['runAsUser']}:{pod.spec['securityContext']['runAsGroup']}" != last("USER")
        or pod.spec["securityContext"]["seccompProfile"] != {"type": "RuntimeDefault"}
        or pod.spec["automountServiceAccountToken"]
        or pod.container["securityContext"]
        != {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        or not {"cpu", "memory"} <= set(pod.container["resources"]["requests"])
        or "memory" not in pod.container["resources"]["limits"]
        or not {last("WORKDIR"), "/tmp"} <= {mount["mountPath"] for mount in pod.container["volumeMounts"]}
    ]


def unpinned_images(resources: Resources) -> list[str]:
    version = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["x-reelay"]["image"].partition(":")[2]
    return [pod.name for pod in pods(resources) if not pod.container["image"].endswith(f"/reelay:{version}")]


def idle_selectors(resources: Resources) -> list[str]:
    """Of services, budgets and policies: each finds a pod."""
    everybody = [pod.labels for pod in pods(resources)]
    found = []
    for each in of_kind(resources, "Service", "PodDisruptionBudget", "NetworkPolicy"):
        selector = each["spec"].get("podSelector", each["spec"].get("selector"))
        wanted = selector if each["kind"] == "Service" else selector.get("matchLabels", {})
        if not any(wanted.items() <= labels.items() for labels in everybody):
            found.append(f"{each['kind']} {each['metadata']['name']}")
    return found


def strangers(resources: Resources) -> list[str]:
    """What would be made in whichever namespace is current."""
    return [
        f"{each['kind']} {each['metadata']['name']}"
        for each in resources
        if each["kind"] != "Namespace" and each["metadata"].get("namespace") != "reelay"
    ]


def unbudgeted_pods(resources: Resources) -> list[str]:
    budgets = {each["metadata"]["name"] for each in of_kind(resources, "PodDisruptionBudget")}
    return [pod.name for pod in pods(resources) if pod.process is not Process.MIGRATION and pod.name not in budgets]


def wrongly_scaled(resources: Resources) -> list[str]:
    """Each deployment has one autoscaler, and each autoscaler its deployment."""
    deployments = [each["metadata"]["name"] for each in of_kind(resources, "Deployment")]
    scaled = [
        each["spec"]["scaleTargetRef"]["name"] for each in of_kind(resources, "HorizontalPodAutoscaler", "ScaledObject")
    ]
    return [] if sorted(scaled) == sorted(deployments) else [f"{sorted(deployments)}: {sorted(scaled)}"]


def unknown_task_queues(resources: Resources) -> list[str]:
    """A scaler counts the tasks of its workers' queue, where the settings say that Temporal is."""
    queue: str = Settings.model_fields["task_queue"].default
    queues = {"generations": queue, "transfers": transfers_queue(queue), "webhooks": webhooks_queue(queue)}
    settings = settings_of(resources)
    return [
        each["metadata"]["name"]
        for each in of_kind(resources, "ScaledObject")
        for trigger in each["spec"]["triggers"]
        if trigger["metadata"]["taskQueue"] != queues[each["metadata"]["name"]]
        or trigger["metadata"]["endpoint"] != settings["TEMPORAL_ADDRESS"]
        or trigger["metadata"]["namespace"] != settings["TEMPORAL_NAMESPACE"]
    ]


CHECKS: Sequence[Check] = (
    invalid,
    missing_processes,
    unknown_commands,
    unread_settings,
    unsettled_pods,
    wrong_secrets,
    misnamed_secrets,
    wrong_probes,
    short_graces,
    lax_pods,
    unpinned_images,
    idle_selectors,
    strangers,
    unbudgeted_pods,
    wrongly_scaled,
    unknown_task_queues,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_nothing_is_wrong(check: Check, resources: Resources) -> None:
    assert check(resources) == []


def container_of(resources: Resources, name: str) -> Resource:
    return next(pod.container for pod in pods(resources) if pod.name == name)


def pod_of(resources: Resources, name: str) -> Resource:
    return next(pod.spec for pod in pods(resources) if pod.name == name)


BROKEN: list[tuple[Check, Callable[[Resources], object]]] = [
    (invalid, lambda it: of_kind(it, "Deployment")[0]["spec"].update(replica=2)),
    (missing_processes, lambda it: it.remove(of_kind(it, "Job")[0])),
    (unknown_commands, lambda it: container_of(it, "api")["args"].append("--reload")),
    (unread_settings, lambda it: settings_of(it).update(TEMPORAL_ADRESS="temporal:7233")),
    (unread_settings, lambda it: settings_of(it).update(FAL_KEY="key:secret")),
    (unsettled_pods, lambda it: container_of(it, "api").update(envFrom=[])),
    (wrong_secrets, lambda it: container_of(it, "webhooks")["env"].append({"name": "FAL_KEY", "value": "x"})),
    (wrong_secrets, lambda it: container_of(it, "api")["env"].pop()),
    (wrong_probes, lambda it: container_of(it, "api")["livenessProbe"]["httpGet"].update(path="/health")),
    (wrong_probes, lambda it: settings_of(it).update(WORKER_HEALTH_PORT="8002")),
    (short_graces, lambda it: pod_of(it, "generations").update(terminationGracePeriodSeconds=30)),
    (lax_pods, lambda it: container_of(it, "transfers")["resources"].update(limits={})),
    (lax_pods, lambda it: container_of(it, "transfers")["securityContext"].update(readOnlyRootFilesystem=False)),
    (unpinned_images, lambda it: container_of(it, "api").update(image="registry.example.com/reelay:latest")),
    (idle_selectors, lambda it: of_kind(it, "Service")[0]["spec"].update(selector={"app": "api"})),
    (unbudgeted_pods, lambda it: it.remove(of_kind(it, "PodDisruptionBudget")[0])),
    (wrongly_scaled, lambda it: it.remove(of_kind(it, "HorizontalPodAutoscaler")[0])),
]


@pytest.fixture(scope="module")
def sound() -> Resources:
    return built(MANIFESTS / "overlays" / OVERLAYS[0])


@pytest.mark.parametrize(("check", "broken"), BROKEN, ids=lambda each: getattr(each, "__name__", ""))
def test_what_is_wrong_is_noticed(check: Check, broken: Callable[[Resources], object], sound: Resources) -> None:
    resources = deepcopy(sound)
    broken(resources)
    assert check(resources)
