"""Which answers of Temporal are outages, worth another try later, and which are refusals that stay."""

from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    QueryWorkflowInput,
    SignalWorkflowInput,
)
from temporalio.service import RPCError, RPCStatusCode

from reelay.domain.generation import Report
from workflows.runs import OUTAGES, GenerationRuns, NoRun, TemporalRefused, TemporalUnavailable

REFUSALS = sorted(set(RPCStatusCode) - {*OUTAGES, RPCStatusCode.OK, RPCStatusCode.NOT_FOUND})


class Failing(Interceptor):
    """A Temporal that answers everything with one error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return FailingCalls(next, self._error)


class FailingCalls(OutboundInterceptor):
    def __init__(self, next: OutboundInterceptor, error: Exception) -> None:
        super().__init__(next)
        self._error = error

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:
        raise self._error

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:
        raise self._error


async def runs_failing_with(error: Exception) -> GenerationRuns:
    client = await Client.connect("127.0.0.1:1", lazy=True, interceptors=[Failing(error)])
    return GenerationRuns(client, "generations", None)


def rpc_error(status: RPCStatusCode) -> RPCError:
    return RPCError("as if", status, b"")


@pytest.mark.fault("O1")
@pytest.mark.parametrize(
    "error", [*map(rpc_error, OUTAGES), TimeoutError(), RuntimeError("cannot connect")], ids=lambda error: repr(error)
)
async def test_silence_and_overload_are_outages(error: Exception) -> None:
    with pytest.raises(TemporalUnavailable):
        await (await runs_failing_with(error)).poll(uuid4())


@pytest.mark.fault("O14")
@pytest.mark.parametrize("status", REFUSALS, ids=lambda status: status.name)
async def test_every_other_answer_is_a_refusal_that_says_its_kind(status: RPCStatusCode) -> None:
    report = Report(attempt=1, request_id="request", delivery_id=uuid4())
    with pytest.raises(TemporalRefused, match=f"{status.name}: as if"):
        await (await runs_failing_with(rpc_error(status))).report(uuid4(), report)


async def test_what_is_not_found_is_no_failure() -> None:
    with pytest.raises(NoRun):
        await (await runs_failing_with(rpc_error(RPCStatusCode.NOT_FOUND))).poll(uuid4())


@pytest.mark.parametrize("status", [*OUTAGES, *REFUSALS], ids=lambda status: status.name)
async def test_a_status_that_cannot_be_asked_for_is_none(status: RPCStatusCode) -> None:
    assert await (await runs_failing_with(rpc_error(status))).status(uuid4()) is None
