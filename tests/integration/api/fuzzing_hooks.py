"""For schemathesis, which loads this file: ids of what there is, and of each operation a request that is answered.

Without them most of what it makes up is refused at the door.
"""

import json
import os
from random import Random
from typing import Any

from schemathesis import Case, HookContext, Response, hook

REHEARSED = json.loads(os.environ["FUZZ_REHEARSED"])
"""For each operation by its name, what makes an answered request of it."""
KNOWN: dict[str, list[str]] = json.loads(os.environ["FUZZ_KNOWN"])
"""Ids of the caller's rows, by their names in paths."""
MADE_BY = {
    "POST /api/campaigns": ("id", "campaign_id"),
    "POST /api/campaigns/{campaign_id}/clips": ("id", "clip_id"),
    "POST /api/batches": ("batchId", "batch_id"),
    "POST /api/pipelines": ("pipelineId", "pipeline_id"),
    "POST /api/pipelines/{pipeline_id}/rerun": ("pipelineId", "pipeline_id"),
    "POST /api/clips/{clip_id}/produce": ("pipelineId", "pipeline_id"),
    "POST /api/uploads": ("assetId", "asset_id"),
    "POST /api/webhook-endpoints": ("id", "endpoint_id"),
}
LONGEST_WAIT_SECONDS = 2
"""For a job's next change, which may never come. Schemathesis itself waits for ten seconds."""
CREATED_JOB = ("jobId", "job_id")
DICE = Random(os.environ["FUZZ_SEED"])


@hook
def before_add_examples(context: HookContext, examples: list[Case[Any]]) -> None:
    operation = context.operation
    assert operation
    examples.append(operation.Case(**REHEARSED[operation.label]))


@hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Every other id is one of a row that there is. Deletions find their own: the rows are still needed."""
    if isinstance(wait := (case.query or {}).get("wait"), int | float):
        case.query["wait"] = min(wait, LONGEST_WAIT_SECONDS)
    is_rehearsed = case.path_parameters == REHEARSED[case.operation.label]["path_parameters"]
    if is_rehearsed or case.method.upper() == "DELETE":
        return
    for name in sorted(case.path_parameters.keys() & KNOWN.keys()):
        if DICE.random() < 0.5:
            case.path_parameters[name] = DICE.choice(KNOWN[name])


@hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
    if response.status_code in (201, 202):
        field, name = MADE_BY.get(case.operation.label, CREATED_JOB)
        if made := response.json().get(field):
            KNOWN[name].append(made)
