/**
 * A React app on an origin of its own: it creates a video, shows its progress live, and plays it.
 *
 * The API has the app's origin in `CORS_ORIGINS`. Its address and the user's token are this app's to know; here they
 * come from the page's address: `?api=https://reelay.example.com#<token>`.
 */

import { StrictMode, createElement as h, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { configureReelay, createGeneration, watchGeneration } from "reelay-client";

configureReelay({
  baseUrl: new URLSearchParams(location.search).get("api") ?? "",
  apiKey: location.hash.slice(1),
});

function App() {
  const [jobId, setJobId] = useState(null);
  const [error, setError] = useState(null);

  async function create(event) {
    event.preventDefault();
    const prompt = new FormData(event.target).get("prompt");
    setJobId(null);
    setError(null);
    try {
      setJobId((await createGeneration("video", { prompt, quality: "fast" })).jobId);
    } catch (refused) {
      setError(refused.message);
    }
  }

  return h(
    "main",
    null,
    h("h1", null, "A front of its own"),
    h(
      "form",
      { onSubmit: create },
      h("input", { name: "prompt", "aria-label": "Prompt", defaultValue: "a lighthouse in the rain", required: true }),
      h("button", null, "Generate"),
    ),
    error && h("p", { role: "alert" }, error),
    jobId && h(Video, { key: jobId, jobId }),
  );
}

/** One job, from its creation to its player. Mounted again with the same id it goes on where the job is. */
function Video({ jobId }) {
  const [job, setJob] = useState(null);
  const [error, setError] = useState(null);

  useEffect(() => {
    const left = new AbortController();
    watchGeneration(jobId, {
      onProgress: setJob,
      onCompleted: setJob,
      onFailed: (failure) => setError(failure.message),
      signal: left.signal,
    });
    return () => left.abort();
  }, [jobId]);

  if (error) return h("p", { role: "alert" }, error);
  if (job?.status === "completed") return h("video", { src: job.resultUrl, poster: job.files[0].posterUrl, controls: true });
  return h(
    "p",
    null,
    h("progress", { value: job?.progress ?? 0, max: 100, "aria-label": "Progress" }),
    h("span", { role: "status" }, job ? `${job.progress} %: ${job.progressMessage}` : "Created"),
  );
}

createRoot(document.getElementById("root")).render(h(StrictMode, null, h(App)));
