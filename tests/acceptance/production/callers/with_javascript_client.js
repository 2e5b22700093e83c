// The same as with_sync_client.py, by Node.

import { GenerationFailed, Refused, configureReelay, createGeneration, request, watchGeneration } from "reelay-client";

const [baseUrl, apiKey] = process.argv.slice(2);
configureReelay({ baseUrl, apiKey });

async function outcome(prompt, { cancel = false } = {}) {
  const { jobId } = await createGeneration("video", { prompt });
  if (cancel) await request(`/api/jobs/${jobId}/cancel`, { method: "POST" });
  try {
    const job = await watchGeneration(jobId);
    return [job.status, job.files.map((file) => file.format)];
  } catch (error) {
    if (!(error instanceof GenerationFailed)) throw error;
    return [error.name, error.code, error.job.status, error.message];
  }
}

async function refusal() {
  try {
    await createGeneration("video", { prompt: "" });
    return [];
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return [error.status, error.code, error.errors.map((each) => each.field)];
  }
}

const outcomes = [
  await outcome("a lighthouse"),
  await outcome("it fails [sim: fail=422]"),
  await outcome("it lasts [sim: latency=60s]", { cancel: true }),
  await refusal(),
];
process.stdout.write(JSON.stringify(outcomes));
