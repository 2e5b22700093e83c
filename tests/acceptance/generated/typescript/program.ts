// What a frontend writes with openapi-typescript and openapi-fetch. No cast: the document's types are enough.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.ts";

type Schemas = components["schemas"];
type Job = Schemas["JobView"];

const api = createClient<paths>({
  baseUrl: process.env["REELAY_URL"] ?? "",
  headers: { authorization: `Bearer ${process.env["REELAY_API_KEY"]}` },
});

// Compiled alone: a prompt is needed, and enough.
export const enough: Schemas["VideoRequest"] = { prompt: "A lighthouse in the rain" };
// @ts-expect-error
export const nothing: Schemas["VideoRequest"] = {};
// @ts-expect-error
export const misspelt: Job["status"] = "done";

/** Every problem has a code to switch over. */
function explain(problem: Schemas["ProblemView"]): string {
  switch (problem.code) {
    case "INVALID_PARAMS":
      return problem.errors.map((wrong) => `${wrong.field} ${wrong.message}`).join("; ");
    case "INSUFFICIENT_CREDITS":
      return `${problem.estimatedCostCents} of ${problem.availableCents} cents`;
    default:
      return problem.detail;
  }
}

async function createVideo(prompt: string): Promise<string> {
  const { data, error, response } = await api.POST("/api/generate/video", { body: { prompt, quality: "fast" } });
  if (error) throw new Error(explain(error));
  if (data.status !== "submitted") throw new Error(`nobody asked to wait for ${data.files.length} files`);
  if (response.headers.get("location") !== data.statusUrl) throw new Error("Location is not the job's address");
  return data.jobId;
}

async function untilEnded(jobId: string): Promise<Job> {
  for (;;) {
    const { data, error } = await api.GET("/api/jobs/{job_id}", {
      params: { path: { job_id: jobId }, query: { wait: 20 } },
    });
    if (error) throw new Error(explain(error));
    if (data.status === "completed" || data.status === "failed" || data.status === "canceled") return data;
  }
}

/** An answer that waited is the job itself: its status says so. */
async function createAndWait(text: string): Promise<string | null> {
  const { data, error } = await api.POST("/api/generate/voice", {
    params: { header: { prefer: "wait=60" } },
    body: { text },
  });
  if (error) throw new Error(explain(error));
  return data.status === "submitted" ? data.statusUrl : data.resultUrl;
}

async function refusedParameter(): Promise<string> {
  // @ts-expect-error
  const { error } = await api.GET("/api/jobs", { params: { query: { sort: "newest" } } });
  return error ? explain(error) : "";
}

const { data: models } = await api.GET("/api/models");
const model = models?.data.find((each) => each.kind === "video" && each.isDefault);
const job = await untilEnded(await createVideo("A lighthouse in the rain"));
console.log(
  JSON.stringify({
    model: model?.inputs.find((input) => input.name === "prompt")?.required,
    status: job.status,
    fileUrl: job.files[0]?.fileUrl,
    voiceUrl: await createAndWait("Welcome to the harbour."),
    refused: await refusedParameter(),
  }),
);
