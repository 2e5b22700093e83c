"use client";
/**
 * React hooks that poll a generation to its end: `useFalJob` by the request's id, `useVideoGeneration` for clips.
 * Unmounting stops the polls, never the generation. react.d.ts has their types.
 */

import { useCallback, useEffect, useRef, useState } from "react";
import { FINAL, GenerationFailed, createGeneration, pollJob } from "./reelay.js";

export { configureReelay } from "./reelay.js";

const POLL_INTERVAL = 3000;
const MAX_POLL_TIME = 600_000;
const NOTHING = { requestId: null, job: null, error: null };

/**
 * Poll `GET /api/fal-jobs/{requestId}` until the job has ended; nothing while `requestId` is null. Then `onCompleted` or
 * `onFailed` is called once, as it was given to the latest render. Times are those of the first poll, in milliseconds.
 *
 * @param {import("./react.d.ts").FalJobOptions} options
 * @returns {import("./react.d.ts").FalJobState}
 */
export function useFalJob({
  requestId,
  pollInterval = POLL_INTERVAL,
  maxPollTime = MAX_POLL_TIME,
  onCompleted,
  onFailed,
}) {
  const [seen, setSeen] = useState(NOTHING);
  const latest = useLatest({ pollInterval, maxPollTime, onCompleted, onFailed });

  useEffect(() => {
    setSeen(NOTHING);
    if (!requestId) return undefined;
    const stop = new AbortController();
    const { pollInterval, maxPollTime } = latest.current;
    const onPoll = (job) => setSeen({ requestId, job, error: null });
    pollFalJob(requestId, { pollInterval, maxPollTime, signal: stop.signal, onPoll }).then(({ job, error }) => {
      if (stop.signal.aborted) return;
      setSeen({ requestId, job, error });
      if (error === null) latest.current.onCompleted?.(job);
      else latest.current.onFailed?.(error);
    });
    return () => stop.abort();
  }, [requestId, latest]);

  const { job, error } = seen.requestId === requestId ? seen : NOTHING;
  const isEnded = error !== null || FINAL.has(job?.status);
  return { job, isPolling: Boolean(requestId) && !isEnded, isCompleted: job?.status === "completed", error };
}

/** The job as it was seen last, and why it did not complete. */
async function pollFalJob(requestId, { onPoll, ...options }) {
  const began = Date.now();
  let job = null;
  try {
    // StrictMode unmounts at once what it mounts first: that one is stopped before it has asked anything.
    await null;
    for await (job of pollJob(`/api/fal-jobs/${encodeURIComponent(requestId)}`, options)) {
      const elapsed = `${Math.round((Date.now() - began) / 1000)}s`;
      console.debug("[useFalJob] Job status:", { requestId, status: job.status, elapsed });
      if (!FINAL.has(job.status)) onPoll(job);
    }
  } catch (error) {
    return { job, error: reasonOf(error) };
  }
  const isCompleted = job?.status === "completed";
  return { job, error: isCompleted ? null : (job?.error ?? job?.errorMessage ?? "Generation failed") };
}

/**
 * Generate videos for clips, several at once if need be.
 *
 * @param {import("./react.d.ts").VideoGenerationOptions} [options]
 * @returns {import("./react.d.ts").VideoGeneration}
 */
export function useVideoGeneration({ updateClipProgress } = {}) {
  const [{ progress, running, error }, setState] = useState({ progress: {}, running: 0, error: null });
  const latest = useLatest({ updateClipProgress });
  const unmounted = useRef(null);

  useEffect(() => {
    const stop = new AbortController();
    unmounted.current = stop.signal;
    return () => stop.abort();
  }, []);

  const generate = useCallback(
    async (clip, input, options = {}) => {
      const onProgress = (percent) => {
        setState((state) => ({ ...state, progress: { ...state.progress, [clip.id]: percent } }));
        latest.current.updateClipProgress?.(clip.id, percent);
        options.onProgress?.(percent);
      };
      setState(({ progress, running }) => ({ progress, running: running + 1, error: null }));
      try {
        return await generateVideoAsync(clip, input, { ...options, onProgress, signal: unmounted.current });
      } catch (error) {
        setState((state) => ({ ...state, error: reasonOf(error) }));
        throw error;
      } finally {
        setState((state) => ({ ...state, running: state.running - 1 }));
      }
    },
    [latest],
  );

  return { generateVideoAsync: generate, pollJobStatus, progress, isGenerating: running > 0, error };
}

/**
 * `POST /api/generate/video` with `input`, and the clip with `video.raw_url` once it is there; null when `signal` was
 * aborted before that.
 *
 * @type {typeof import("./react.d.ts").generateVideoAsync}
 * @throws {GenerationFailed | Refused | NotReachable | WaitTimeout}
 */
export async function generateVideoAsync(clip, input, options = {}) {
  const { jobId } = await createGeneration("video", input);
  const result = await pollJobStatus(jobId, options);
  if (result === null) return null;
  if (result.status !== "completed") throw new GenerationFailed(result);
  return { ...clip, video: { ...clip.video, raw_url: result.resultUrl } };
}

/**
 * The job once it has completed, failed or been canceled; null when `signal` was aborted before that.
 *
 * @type {typeof import("./react.d.ts").pollJobStatus}
 * @throws {Refused | WaitTimeout}
 */
export async function pollJobStatus(
  jobId,
  { interval = POLL_INTERVAL, timeout = MAX_POLL_TIME, onProgress, signal } = {},
) {
  let last = null;
  const options = { pollInterval: interval, maxPollTime: timeout, signal };
  for await (last of pollJob(`/api/jobs/${encodeURIComponent(jobId)}`, options)) onProgress?.(last.progress || 0);
  return signal?.aborted ? null : last;
}

/** In short, as the API says it in the reader's language. */
function reasonOf(error) {
  return error.problem?.error ?? error.message;
}

/** A ref to what the latest render was given. */
function useLatest(value) {
  const ref = useRef(value);
  useEffect(() => {
    ref.current = value;
  });
  return ref;
}
