"""Accepting a POST, and the faults in its answer."""

from starlette.responses import Response

from lab.simulator.connections import Cut
from lab.simulator.faults import Fault, Faults, UnknownFault, parse_faults
from lab.simulator.queue import Submission
from lab.simulator.refusals import Refused
from lab.simulator.requests import SimulatedRequest, prompt_text
from lab.simulator.simulator import Simulator


async def accept(simulator: Simulator, submission: Submission) -> SimulatedRequest:
    """The request runs from here on, and reports its end, whatever becomes of the connection that brought it."""
    request = simulator.queue.accept(submission)
    simulator.webhook_sender.dispatch(request)
    if Fault.WEBHOOK_EARLY in submission.faults:
        await simulator.webhook_sender.first_delivery(request)
    return request


async def lost_answer(simulator: Simulator, request: SimulatedRequest, fault: Fault | None) -> Response | None:
    """The connection's end in place of an answer; None, perhaps after a while, when it is to be answered."""
    match fault:
        case Fault.SUBMIT_DROP:
            return Cut()
        case Fault.SUBMIT_TIMEOUT:
            return Cut(after=simulator.settings.submit_timeout)
        case Fault.SUBMIT_SLOW:
            await simulator.clock.sleep(request.faults.delays[fault])
    return None


def faults_in(arguments: dict[str, object]) -> Faults:
    """Raises: Refused."""
    try:
        return parse_faults(prompt_text(arguments))
    except UnknownFault as error:
        raise Refused(400, {"detail": str(error)}) from None
