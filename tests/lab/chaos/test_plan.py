"""A plan is drawn once and can be carried out again."""

from itertools import pairwise
from pathlib import Path

import pytest

from lab.chaos.plan import SAME_PART_AGAIN_SECONDS, Part, Plan, Times, draw_plan
from lab.devstack.supervision import STEADY_SECONDS
from lab.simulator.faults import REPLICATES_OWN, Fault, parse_faults
from lab.simulator.requests import prompt_text


@pytest.fixture(scope="module")
def large() -> Plan:
    return draw_plan(7, 2000)


def test_one_seed_is_one_plan_and_another_seed_another() -> None:
    assert draw_plan(7, 200) == draw_plan(7, 200)
    assert draw_plan(7, 200).jobs != draw_plan(8, 200).jobs


def test_a_kept_plan_is_the_drawn_one(tmp_path: Path) -> None:
    plan = draw_plan(7, 50, Times(deadline=30))
    plan.write(tmp_path / "plans" / "plan-7.json")
    assert Plan.read(tmp_path / "plans" / "plan-7.json") == plan


def test_every_fault_of_the_simulator_is_drawn_and_understood(large: Plan) -> None:
    asked = [parse_faults(prompt_text(job.body)) for job in large.jobs]
    assert {fault for faults in asked for fault in faults.asked} == set(Fault) - REPLICATES_OWN - {
        Fault.TRANSCRIPT_LONG
    }
    assert all(
        len(faults.asked) == sum("latency" not in fault for fault in job.faults)
        for faults, job in zip(asked, large.jobs, strict=True)
    )


def test_many_jobs_are_free_of_faults(large: Plan) -> None:
    """Those have to complete, whatever is killed."""
    free = sum(not job.faults and job.cancel_after is None for job in large.jobs)
    assert len(large.jobs) / 4 < free < len(large.jobs) / 2


def test_every_part_is_killed_but_none_so_often_that_the_supervisor_gives_up(large: Plan) -> None:
    for part in Part:
        moments = [kill.at for kill in large.kills if kill.part is part]
        assert len(moments) > 3
        assert all(later - earlier >= SAME_PART_AGAIN_SECONDS - 0.001 for earlier, later in pairwise(moments))
    assert STEADY_SECONDS < SAME_PART_AGAIN_SECONDS, "or else each restart would be later than the one before"


def test_most_kills_meet_a_submission_between_its_post_and_the_answer(large: Plan) -> None:
    met = [
        kill
        for kill in large.kills
        if any("submit=slow:3s" in job.faults and 0 < kill.at - job.at < 3 for job in large.jobs)
    ]
    assert len(met) > len(large.kills) * 0.9


def test_the_smallest_plan_has_a_kill() -> None:
    assert all(draw_plan(seed, 1).kills for seed in range(20))


def test_hopeless_jobs_come_early_so_that_they_do_not_make_the_run_longer(large: Plan) -> None:
    end = large.jobs[-1].at
    hopeless = [job.at for job in large.jobs if "latency=10m" in job.faults]
    assert hopeless
    assert max(hopeless) < end * 0.6
    assert any("result=never-media" in job.faults for job in large.jobs)
