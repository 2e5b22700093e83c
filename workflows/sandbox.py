"""The sandbox that workflows run in, as far as they need one."""

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info


class Sandbox(SandboxedWorkflowRunner):
    def __init__(self) -> None:
        # Every module passes: 63, 65 ms of CPU per generation instead of 68, 70. What is left of the sandbox forbids
        # builtins such as `open`, no longer `time.time()`; that, chance, threads and files the linter forbids here
        # (`ruff.toml`), and that workflows are deterministic the replays show.
        super().__init__(SandboxRestrictions.default.with_passthrough_all_modules())

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return ContextFree(super().create_instance(det))


class ContextFree(WorkflowInstance):
    """A run whose payloads are written and read alike, whichever step they belong to.

    The SDK would compile a line of code and enter the sandbox up to four times for each payload, to ask which step that
    is. Without, a generation's history is replayed in 12 ms of CPU instead of 17. Only a codec, or a storage for large
    payloads, would want to know, and `workflows.starting.connect` has neither.
    """

    def __init__(self, sandboxed: WorkflowInstance) -> None:
        self._sandboxed = sandboxed

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        return self._sandboxed.activate(act)

    def get_serialization_context(self, command_info: object) -> None:
        return None

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:
        return StorageDriverStoreContext(target=None)

    def get_info(self) -> Info:
        return self._sandboxed.get_info()

    def get_thread_id(self) -> int | None:
        return self._sandboxed.get_thread_id()
