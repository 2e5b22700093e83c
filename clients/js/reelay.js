/**
 * A client for browsers: create generations, and watch them to their end. No dependencies; reelay.d.ts has its types.
 *
 * Events come by `fetch`, not by `EventSource`, which cannot send the API key in a header: a token in the address would
 * be logged on its way. Where events do not get through (a proxy that buffers, an old gateway), it polls.
 *
 * @typedef {import("./reelay.d.ts").Connection} Connection
 * @typedef {import("./reelay.d.ts").Job} Job
 * @typedef {import("./reelay.d.ts").Created} Created
 * @typedef {import("./reelay.d.ts").Batch} Batch
 * @typedef {import("./reelay.d.ts").BatchEstimate} BatchEstimate
 * @typedef {import("./reelay.d.ts").BatchResult} BatchResult
 * @typedef {import("./reelay.d.ts").CreatedBatch} CreatedBatch
 */

/** What a job's status is in the end. */
export const FINAL = new Set(["completed", "failed", "canceled"]);

/** Events bring at least a comment every 15 s; after so long without one the connection is dead. Milliseconds. */
const SILENCE = 35_000;
/** A job's stream begins with the job. A proxy that buffers keeps even that. Milliseconds. */
const FIRST_EVENT = 8_000;
/** After so many streams that brought nothing, only polls are tried, for so many milliseconds. */
const FRUITLESS_STREAMS = 2;
const EVENTS_AGAIN = 60_000;
const ANSWER = 30_000;
const BATCHES = "/api/batches";

/** Not a literal where it is imported: a bundler for browsers has no such module. */
const NODE_FILES = "node:fs";

/** Whatever goes wrong here is one of these. */
export class ReelayError extends Error {
  /** @param {string} message @param {{code?: string, status?: number, cause?: unknown}} [about] */
  constructor(message, { code = "UNKNOWN", status = 0, cause } = {}) {
    super(message, { cause });
    this.name = new.target.name;
    /** To act upon, e.g. `INVALID_PARAMS`. */
    this.code = code;
    /** HTTP status; 0 when there was no answer. */
    this.status = status;
  }
}

/** The API cannot be reached. Trying again may help. */
export class NotReachable extends ReelayError {
  constructor(cause) {
    super("The service cannot be reached.", { code: "UNREACHABLE", cause });
  }
}

/** The API refuses: its problem document. */
export class Refused extends ReelayError {
  /** @param {number} status @param {Object} problem @param {string | null} retryAfter */
  constructor(status, problem, retryAfter) {
    super(problem.detail ?? `The service answered ${status}.`, { code: problem.code, status });
    this.problem = problem;
    /** Wrong fields, with `INVALID_PARAMS`. @type {{field: string, message: string, limit: any, value: any}[]} */
    this.errors = problem.errors ?? [];
    /** Milliseconds to wait before another try. */
    this.retryAfter = Number(retryAfter ?? 0) * 1000 || 0;
  }

  /** Whether the same request could be answered otherwise in a moment. */
  get isPassing() {
    return this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** @param {unknown} error */
function isPassing(error) {
  return error instanceof NotReachable || (error instanceof Refused && error.isPassing);
}

/** The generation ended without its media: `job` tells why. */
export class GenerationFailed extends ReelayError {
  /** @param {Job} job */
  constructor(job) {
    super(job.errorMessage ?? `The generation was ${job.status}.`, { code: job.errorCode ?? job.status });
    this.job = job;
  }
}

/** It was polled for `maxPollTime` without an end. It goes on without us. */
export class WaitTimeout extends ReelayError {
  /** @param {Job | null} job As it was seen last. */
  constructor(job) {
    super("Timeout waiting for generation", { code: "WATCH_TIMEOUT" });
    this.job = job;
  }
}

/** @type {Connection} */
let configured = {};

/**
 * The connection of every call that does not name its own. A page of the API's origin with its cookie needs none.
 *
 * @param {Connection} connection
 */
export function configureReelay(connection) {
  configured = { ...connection };
}

/**
 * Create one: `kind` is `video`, `first-frame`, `voice`, `ambient` or `transcribe`, or `{model, input}` for
 * any model of the catalogue. Repeated with the same `idempotencyKey` it creates nothing new; without one it is made
 * up, so that a POST whose answer is lost is sent again safely.
 *
 * @param {string | null} kind Null with `{model, input}`.
 * @param {Object} input
 * @param {Connection & {idempotencyKey?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<Created>}
 * @throws {Refused | NotReachable}
 */
export async function createGeneration(kind, input, options = {}) {
  return createOnce(kind ? `/api/generate/${kind}` : "/api/jobs", input, options);
}

/** A POST that creates one thing, however often it has to be sent. */
async function createOnce(path, body, { idempotencyKey = newKey(), ...options } = {}) {
  const headers = { ...options.headers, "idempotency-key": idempotencyKey };
  const create = () => request(path, { ...options, method: "POST", body, headers });
  try {
    return await create();
  } catch (error) {
    if (!(error instanceof NotReachable)) throw error;
    await pause(1000, options.signal);
    return create();
  }
}

/**
 * A new one from one that failed or was canceled. `input` changes fields of its input; null removes one.
 *
 * @param {string} id
 * @param {Connection & {input?: Object, confirm?: boolean, idempotencyKey?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<Created>}
 * @throws {Refused | NotReachable}
 */
export function retryGeneration(id, { input, confirm, ...options } = {}) {
  return createOnce(`/api/jobs/${encodeURIComponent(id)}/retry`, { input, confirm }, options);
}

/**
 * Delete one that has ended, with its files. Nothing happens where it is deleted already.
 *
 * @param {string} id
 * @param {Connection & {signal?: AbortSignal}} [options]
 * @returns {Promise<void>}
 * @throws {Refused | NotReachable} Refused with `CONFLICT` while it runs.
 */
export async function deleteGeneration(id, options = {}) {
  await request(`/api/jobs/${encodeURIComponent(id)}`, { ...options, method: "DELETE" });
}

/**
 * Watch a generation to its end. Events first; polls where they do not get through; goes on after sleep and offline.
 *
 * Resolves with the completed job. With `onFailed` an error goes there and the promise resolves with undefined; without
 * it the promise rejects. Once `signal` is aborted nothing is called any more, and it resolves with undefined.
 *
 * @param {string} id
 * @param {Connection & {
 *   onProgress?: (job: Job) => void,
 *   onCompleted?: (job: Job) => void,
 *   onFailed?: (error: GenerationFailed | WaitTimeout | Refused) => void,
 *   pollInterval?: number,
 *   maxPollTime?: number,
 *   signal?: AbortSignal,
 * }} [options] Times in milliseconds. `maxPollTime` counts polls alone: a stream is watched for as long as it takes.
 * @returns {Promise<Job | undefined>}
 */
export async function watchGeneration(id, options = {}) {
  const { onProgress, onCompleted, onFailed, signal } = options;
  const stop = new AbortController();
  const abort = () => stop.abort();
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();
  try {
    for await (const job of changesOf(id, { ...options, signal: stop.signal })) {
      if (stop.signal.aborted) return undefined;
      if (job.status === "completed") {
        onCompleted?.(job);
        return job;
      }
      if (FINAL.has(job.status)) throw new GenerationFailed(job);
      onProgress?.(job);
    }
    return undefined;
  } catch (error) {
    if (stop.signal.aborted) return undefined;
    if (!onFailed || !(error instanceof ReelayError)) throw error;
    onFailed(error);
    return undefined;
  } finally {
    signal?.removeEventListener("abort", abort);
    stop.abort();
  }
}

/**
 * The job at each poll, the last one ended. Polls go on while the service cannot be reached or is too busy. Once `signal`
 * is aborted it comes to nothing more.
 *
 * @param {string} path Of the job.
 * @param {Connection & {pollInterval?: number, maxPollTime?: number, signal?: AbortSignal}} [options] In milliseconds.
 * @returns {AsyncGenerator<Job, void, void>}
 * @throws {Refused | WaitTimeout}
 */
export async function* pollJob(path, { pollInterval = 3000, maxPollTime = 600_000, signal, ...connection } = {}) {
  const deadline = Date.now() + maxPollTime;
  let job = null;
  while (!signal?.aborted) {
    let wait = pollInterval;
    try {
      job = await request(path, { ...connection, signal });
      if (signal?.aborted) return;
      yield job;
      if (FINAL.has(job.status)) return;
    } catch (error) {
      if (signal?.aborted) return;
      if (!isPassing(error)) throw error;
      wait = Math.max(wait, error.retryAfter ?? 0);
    }
    if (Date.now() >= deadline) throw new WaitTimeout(job);
    await pause(wait, signal);
  }
}

/**
 * Up to 1,000 jobs, each as `createGeneration(null, ...)` takes it. Repeated with the same `idempotencyKey` it creates
 * nothing new; without one it is made up, so that a POST whose answer is lost is sent again safely.
 *
 * @param {Object[]} jobs
 * @param {Connection & {webhookUrl?: string, metadata?: Object, idempotencyKey?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<CreatedBatch>}
 * @throws {Refused | NotReachable}
 */
export function createBatch(jobs, { webhookUrl, metadata, ...options } = {}) {
  return createOnce(BATCHES, { jobs, webhookUrl, metadata }, options);
}

/**
 * What `createBatch` with the same jobs would cost. Nothing is created; what it would refuse is refused.
 *
 * @param {Object[]} jobs
 * @param {Connection & {signal?: AbortSignal}} [options]
 * @returns {Promise<BatchEstimate>}
 * @throws {Refused | NotReachable}
 */
export function estimateBatch(jobs, options = {}) {
  return request(`${BATCHES}?dryRun=1`, { ...options, method: "POST", body: { jobs } });
}

/** The batch now. @param {string} id @param {Connection} [connection] @returns {Promise<Batch>} */
export function readBatch(id, connection = {}) {
  return request(`${BATCHES}/${encodeURIComponent(id)}`, connection);
}

/** Cancel what has not ended. @param {string} id @param {Connection} [connection] @returns {Promise<Batch>} */
export function cancelBatch(id, connection = {}) {
  return request(`${BATCHES}/${encodeURIComponent(id)}/cancel`, { ...connection, method: "POST" });
}

/** What its jobs have made so far. @param {string} id @param {Connection} [connection] @returns {Promise<BatchResult[]>} */
export async function batchResults(id, connection = {}) {
  return (await request(`${BATCHES}/${encodeURIComponent(id)}/results`, connection)).data;
}

/**
 * The batch at each poll, the last time when all of its jobs have ended; nothing more once `signal` is aborted.
 *
 * @param {string} id
 * @param {Connection & {pollInterval?: number, signal?: AbortSignal}} [options] `pollInterval` in milliseconds.
 * @returns {AsyncGenerator<Batch, void, void>}
 */
export async function* watchBatch(id, { pollInterval = 3000, signal, ...connection } = {}) {
  while (!signal?.aborted) {
    const batch = await readBatch(id, { ...connection, signal });
    yield batch;
    if (batch.status === "completed") return;
    await pause(pollInterval, signal);
  }
}

/** The job at each change, whichever way it is learnt. */
async function* changesOf(id, { pollInterval = 3000, maxPollTime = 600_000, signal, ...connection }) {
  const path = `/api/jobs/${encodeURIComponent(id)}`;
  let job = null;
  let polled = 0;
  const events = follow(`${path}/events?progress=true`, {
    ...connection,
    signal,
    pollInterval,
    firstWithin: FIRST_EVENT,
    poll: async () => [await request(path, { ...connection, signal })],
    onPolled: () => {
      polled += pollInterval;
      if (polled > maxPollTime) throw new WaitTimeout(job);
    },
  });
  for await (const { data } of events) {
    const next = { ...job, ...data };
    if (JSON.stringify(next) === JSON.stringify(job)) continue;
    job = next;
    yield job;
    if (FINAL.has(job.status)) return;
  }
}

/**
 * All of the caller's generations, until `signal` is aborted: `onJob` with each that is there or changes.
 *
 * @param {Connection & {
 *   onJob: (job: Partial<Job> & {id: string}) => void,
 *   onState?: (state: "live" | "polling" | "away") => void,
 *   pollInterval?: number,
 *   signal?: AbortSignal,
 * }} options A job that only moved on comes with the fields that changed.
 * @throws {Refused} When it is not let in.
 */
export async function watchGenerations({ onJob, onState, pollInterval = 3000, signal, ...connection }) {
  const events = follow("/api/events?progress=true", {
    ...connection,
    signal,
    pollInterval,
    onState,
    poll: async () => (await request("/api/jobs?limit=100", { ...connection, signal })).data.reverse(),
  });
  for await (const { data } of events) {
    if (signal?.aborted) return;
    onJob(data);
  }
}

/**
 * What a stream of events tells; while it does not get through, what polls tell. Endless: who reads it leaves.
 *
 * @param {string} path
 * @param {Connection & {
 *   poll: () => Promise<Object[]>, onPolled?: () => void, onState?: (state: string) => void,
 *   pollInterval: number, firstWithin?: number, signal?: AbortSignal,
 * }} options
 */
async function* follow(path, { poll, onPolled, onState, pollInterval, firstWithin, signal, ...connection }) {
  const place = { lastEventId: "" };
  let fruitless = 0;
  let streamsFrom = 0;
  while (!signal?.aborted) {
    if (Date.now() >= streamsFrom) {
      try {
        for await (const event of readEvents(path, place, { ...connection, firstWithin, signal })) {
          onState?.("live");
          if (!event) continue;
          fruitless = 0;
          yield event;
        }
      } catch (error) {
        if (signal?.aborted) return;
        if (error instanceof Refused && !error.isPassing) throw error;
      }
      fruitless += 1;
      if (fruitless > FRUITLESS_STREAMS) streamsFrom = Date.now() + EVENTS_AGAIN;
    }
    let wait = pollInterval;
    try {
      for (const data of await poll()) yield { id: "", data };
      onPolled?.();
      if (fruitless > 1) onState?.("polling");
      // The service is there and only the stream broke off: it is opened again at once.
      if (fruitless === 1) wait = Math.min(wait, 300);
    } catch (error) {
      if (signal?.aborted) return;
      if (!isPassing(error)) throw error;
      fruitless = 0;
      streamsFrom = 0;
      onState?.("away");
      wait = Math.max(wait, error.retryAfter ?? 0);
    }
    await pause(wait, signal);
  }
}

/**
 * The events of one connection, and null for the answer's head and for a comment. Ends when the server ends it.
 *
 * @param {string} path @param {{lastEventId: string}} place Where to go on; moved along.
 * @throws {Refused | NotReachable}
 */
async function* readEvents(path, place, { firstWithin = SILENCE, headers, signal, ...connection }) {
  const life = new AbortController();
  const end = () => life.abort();
  let heard = Date.now();
  let patience = place.lastEventId ? SILENCE : firstWithin;
  // After sleep the clock has jumped: the connection is given up at once instead of when TCP notices.
  const watch = setInterval(() => Date.now() - heard > patience && end(), 1000);
  signal?.addEventListener("abort", end);
  globalThis.addEventListener?.("online", end);
  try {
    const resumed = place.lastEventId ? { ...headers, "last-event-id": place.lastEventId } : headers;
    const response = await send(path, { ...connection, headers: resumed, signal: life.signal });
    yield null;
    let rest = "";
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard = Date.now();
      patience = SILENCE;
      const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) yield readEvent(block, place);
    }
  } catch (error) {
    throw error instanceof ReelayError ? error : new NotReachable(error);
  } finally {
    clearInterval(watch);
    signal?.removeEventListener("abort", end);
    globalThis.removeEventListener?.("online", end);
    end();
  }
}

/** @param {string} block */
function readEvent(block, place) {
  const fields = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
  }
  if (fields.id) place.lastEventId = fields.id;
  return fields.data ? { id: fields.id ?? "", data: JSON.parse(fields.data) } : null;
}

/**
 * One call of the API: the parsed answer.
 *
 * @param {string} path
 * @param {Connection & {method?: string, body?: unknown, signal?: AbortSignal}} [options]
 * @throws {Refused | NotReachable}
 */
export async function request(path, { signal, ...options } = {}) {
  const late = AbortSignal.timeout(ANSWER);
  const response = await send(path, { ...options, signal: signal ? anyOf(signal, late) : late });
  try {
    return response.status === 204 ? null : await response.json();
  } catch (error) {
    throw new NotReachable(error);
  }
}

/**
 * Bring a picture, a video or a sound: what an input takes in place of an address is the answer's `uri`.
 *
 * @param {Blob | string} file A `File` or `Blob`; in Node, a path.
 * @param {Connection & {name?: string, signal?: AbortSignal}} [options] `name`: yours for it.
 * @returns {Promise<import("./reelay.d.ts").Asset>}
 * @throws {Refused | NotReachable}
 */
export async function upload(file, { name, ...options } = {}) {
  if (typeof file === "string") {
    const { openAsBlob } = await import(/* webpackIgnore: true */ /* @vite-ignore */ NODE_FILES);
    name ??= file.split(/[\\/]/).pop();
    file = await openAsBlob(file);
  }
  const body = new FormData();
  body.append("file", file, name ?? file.name ?? "file");
  return (await send("/api/uploads", { ...options, method: "POST", body })).json();
}

/**
 * Make a finished clip: `video` with the inputs of its job, perhaps `firstFrame`, `voice`, `ambient`, `captions`, and
 * `approvals`, `budgetCents`, ... beside them. `request` reads, approves and reruns what comes of it.
 *
 * @param {string} clipId
 * @param {Object} parts
 * @param {Connection & {idempotencyKey?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<import("./reelay.d.ts").PipelineCreated>}
 * @throws {Refused | NotReachable}
 */
export function produceClip(clipId, parts, options) {
  return createOnce(`/api/clips/${encodeURIComponent(clipId)}/produce`, parts, options);
}

/**
 * Make the films of several clips of a campaign, all of them or none: `{clips: {ID: parts}, budgetCents?, ...}`. What
 * a clip's parts leave out, its `metadata.parts` says.
 *
 * @param {string} campaignId
 * @param {Object} plan
 * @param {Connection & {idempotencyKey?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<import("./reelay.d.ts").Produced>}
 * @throws {Refused | NotReachable}
 */
export function produceCampaign(campaignId, plan, options) {
  return createOnce(`/api/campaigns/${encodeURIComponent(campaignId)}/produce`, plan, options);
}

/**
 * Create a pipeline: `{steps: {ID: {kind, input}, ...}, approvals?, budgetCents?, clipId?, ...}`.
 *
 * @param {Object} plan
 * @param {Connection & {idempotencyKey?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<import("./reelay.d.ts").PipelineCreated>}
 * @throws {Refused | NotReachable}
 */
export function createPipeline(plan, options) {
  return createOnce("/api/pipelines", plan, options);
}

/**
 * The pipeline now, at each change of a step, and at its end. Events first; polls where they do not get through.
 *
 * @param {string} id
 * @param {Connection & {pollInterval?: number, signal?: AbortSignal}} [options] In milliseconds.
 * @returns {AsyncGenerator<import("./reelay.d.ts").Pipeline, void, void>}
 * @throws {Refused}
 */
export async function* watchPipeline(id, { pollInterval = 3000, signal, ...connection } = {}) {
  const path = `/api/pipelines/${encodeURIComponent(id)}`;
  const poll = async () => [await request(path, { ...connection, signal })];
  const events = follow(`${path}/events`, { ...connection, signal, pollInterval, firstWithin: FIRST_EVENT, poll });
  for await (const { data } of events) {
    yield data;
    if (FINAL.has(data.status)) return;
  }
}

async function send(path, { method = "GET", body, headers, signal, ...connection } = {}) {
  const {
    baseUrl = configured.baseUrl ?? "",
    apiKey = configured.apiKey,
    credentials = configured.credentials,
  } = connection;
  const key = typeof apiKey === "function" ? await apiKey() : apiKey;
  const init = { method, signal, credentials, cache: "no-store", headers: { ...configured.headers, ...headers } };
  if (key) init.headers.authorization = `Bearer ${key}`;
  if (body instanceof FormData) {
    init.body = body;
  } else if (body !== undefined) {
    init.headers["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(baseUrl + path, init);
  } catch (error) {
    throw new NotReachable(error);
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Refused(response.status, problem, response.headers.get("retry-after"));
}

/** Ends early when it is aborted, when the network is back, and when the page is looked at again. */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", wake);
      globalThis.removeEventListener?.("online", wake);
      globalThis.document?.removeEventListener("visibilitychange", look);
      resolve();
    };
    const look = () => globalThis.document.visibilityState === "visible" && wake();
    const timer = setTimeout(wake, milliseconds);
    if (signal?.aborted) wake();
    signal?.addEventListener("abort", wake);
    globalThis.addEventListener?.("online", wake);
    globalThis.document?.addEventListener("visibilitychange", look);
  });
}

/** `AbortSignal.any`, which browsers before 2023 lack. */
function anyOf(...signals) {
  const both = new AbortController();
  for (const signal of signals) {
    if (signal.aborted) both.abort(signal.reason);
    signal.addEventListener("abort", () => both.abort(signal.reason), { once: true, signal: both.signal });
  }
  return both.signal;
}

/** `crypto.randomUUID` is there only on secure origins. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
