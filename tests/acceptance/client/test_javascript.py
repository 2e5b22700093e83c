"""`clients/js` as a package: its types, and what of it npm would publish."""

import asyncio
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.node import CLIENT, run_node
from tests.running import Service
from tests.unit.media.samples import make_picture

PACKAGE: dict[str, Any] = json.loads((CLIENT / "package.json").read_text())
DECLARED = re.compile(r"^export (?:declare )?(?:const|function|class) (\w+)|^export \{ (.*?) \} from", re.MULTILINE)


def test_the_types_suit_components_written_after_the_documents() -> None:
    run_node("tsc")


@pytest.mark.parametrize("entry", PACKAGE["exports"].values(), ids=PACKAGE["exports"])
def test_the_types_name_what_the_module_exports(entry: dict[str, str]) -> None:
    script = f"console.log(Object.keys(await import({json.dumps(entry['default'])})).join())"
    exported = run_node("node", "--input-type=module", "--eval", script).strip().split(",")
    declared = DECLARED.findall((CLIENT / entry["types"]).read_text())
    assert sorted(name or other for name, other in declared) == sorted(exported)


def test_npm_publishes_what_it_exports_and_no_tests() -> None:
    (packed,) = json.loads(run_node("npm", "pack", "--dry-run", "--json"))
    files = {file["path"] for file in packed["files"]}
    exported = {path.removeprefix("./") for entry in PACKAGE["exports"].values() for path in entry.values()}
    assert files == exported | {"package.json", "README.md"}


UPLOAD = """
import { openAsBlob } from "node:fs";
import { configureReelay, createGeneration, pollJob, upload } from "./reelay.js";

configureReelay({ baseUrl: process.env.ORIGIN, apiKey: process.env.KEY });
const byPath = await upload(process.env.PICTURE);
const byBlob = await upload(await openAsBlob(process.env.PICTURE), { name: "blob.png" });
const ended = async ({ jobId }) => {
  let job;
  for await (job of pollJob(`/api/jobs/${jobId}`, { pollInterval: 200 }));
  return job;
};
const night = { prompt: "at night", model: "nano-banana-2-edit", imageUrls: [byPath.uri] };
const frame = await ended(await createGeneration("first-frame", night));
const moving = { prompt: "it moves", firstFrameUrl: `job:${frame.id}`, quality: "fast" };
const job = await ended(await createGeneration("video", moving));
console.log(JSON.stringify([byPath.fileName, byBlob.fileName, byPath.sha256 === byBlob.sha256, job.status]));
"""


async def test_a_file_is_uploaded_and_becomes_a_first_frame(patient_service: Service, tmp_path: Path) -> None:
    variables = {
        "ORIGIN": patient_service.origin,
        "KEY": patient_service.client.headers["authorization"].removeprefix("Bearer "),
        "PICTURE": str(make_picture(tmp_path / "me.png")),
    }
    command = partial(run_node, "node", "--input-type=module", "--eval", UPLOAD, variables=variables)
    assert json.loads(await asyncio.to_thread(command)) == ["me.png", "blob.png", True, "completed"]


FILM = """
import { configureReelay, createPipeline, produceCampaign, produceClip, request, watchPipeline } from "./reelay.js";

configureReelay({ baseUrl: process.env.ORIGIN, apiKey: process.env.KEY });
const post = (path, body) => request(path, { method: "POST", body });
const campaign = await post("/api/campaigns", { name: "Sea" });
const clip = await post(`/api/campaigns/${campaign.id}/clips`, { title: "Dawn" });
const { pipelineId } = await produceClip(clip.id, { video: { prompt: "boats" }, voice: { text: "Every morning." } });
let pipeline;
for await (pipeline of watchPipeline(pipelineId));
const steps = { frame: { kind: "first-frame", input: { prompt: "a boat" } } };
const create = () => createPipeline({ steps }, { idempotencyKey: "k" });
const [first, second] = [await create(), await create()];
const [film] = pipeline.steps.film.files;
const { pipelines } = await produceCampaign(campaign.id, { clips: { [clip.id]: { video: { prompt: "boats" } } } });
const { status } = await request(`/api/pipelines/${pipelines[clip.id]}`);
console.log(JSON.stringify([pipeline.status, film.name, first.pipelineId === second.pipelineId, status !== "failed"]));
"""


async def test_a_film_is_made_and_watched(patient_service: Service) -> None:
    variables = {
        "ORIGIN": patient_service.origin,
        "KEY": patient_service.client.headers["authorization"].removeprefix("Bearer "),
    }
    command = partial(run_node, "node", "--input-type=module", "--eval", FILM, variables=variables)
    assert json.loads(await asyncio.to_thread(command)) == ["completed", "film.mp4", True, True]
