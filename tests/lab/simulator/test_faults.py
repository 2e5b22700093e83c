from datetime import timedelta

import pytest

from lab.simulator.faults import Fault, UnknownFault, parse_faults


def test_faults_combine_with_their_arguments_and_defaults() -> None:
    faults = parse_faults("A lake [sim: latency=1.5s, submit=drop:3, webhook=dup:100, webhook=late] at dawn")
    assert faults.latency == timedelta(seconds=1.5)
    assert faults.asked == {Fault.SUBMIT_DROP, Fault.WEBHOOK_DUP, Fault.WEBHOOK_LATE}
    assert faults.times == {Fault.SUBMIT_DROP: 3, Fault.WEBHOOK_DUP: 100}
    assert faults.delays == {Fault.WEBHOOK_LATE: timedelta(seconds=20)}


def test_a_prompt_without_a_directive_asks_for_nothing() -> None:
    assert not parse_faults("A lake at dawn [similar: fail=500]").asked


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_word_is_understood(fault: Fault) -> None:
    assert fault in parse_faults(f"[SIM: {fault}]")


@pytest.mark.parametrize(
    "text",
    [
        "[sim: submit=dorp]",
        "[sim: sumbit=drop]",
        "[sim: drop]",
        "[sim: submit=drop",
        "[sim: latency=8]",
        "[sim: webhook=late:soon]",
        "[sim: webhook=dup:0]",
        "[sim: webhook=lost:2]",
        "[sim: fail=500, fail=422]",
    ],
)
def test_a_typo_is_refused(text: str) -> None:
    with pytest.raises(UnknownFault):
        parse_faults(text)
