/**
 * Takes the place of a front's `src/services/supabase.js` whose videos lie in a table `video_tasks`: the same functions
 * and the same rows, read from Reelay. One file, no dependencies.
 *
 * @typedef {Object} VideoTask A row of `video_tasks`.
 * @property {string} id
 * @property {string} task_id
 * @property {string} prompt
 * @property {string | null} video_url Plays without a header.
 * @property {"processing" | "completed" | "failed"} status
 * @property {string} created_at
 * @property {string | null} completed_at
 */

/** Where Reelay is, and who asks. Fill it in here, or call `configure`. */
const connection = {
  /** The origin of the API, e.g. `https://reelay.example`; the page's own when left empty. */
  baseUrl: "",
  /** An API key or a token, or what gets a fresh one; without it the browser's session cookie is sent. */
  apiKey: /** @type {string | (() => string | Promise<string>) | null} */ (null),
};

const PAGE = 100;
const RECONNECT_AFTER = 2000;
const TABLE = "video_tasks";

/** @param {Partial<typeof connection>} settings */
export function configure(settings) {
  Object.assign(connection, settings);
}

/**
 * @param {string} taskId As the chat gave it, or your own.
 * @returns {Promise<VideoTask>} Rejects when there is no such task of the caller's.
 */
export async function getVideoByTaskId(taskId) {
  return rowOf(await read(`/api/jobs/${encodeURIComponent(taskId)}`));
}

/** @returns {Promise<VideoTask[]>} What has not ended, newest first. */
export async function getPendingVideos() {
  const rows = [];
  let after = "";
  do {
    const page = await read(`/api/jobs?status=active&type=video&limit=${PAGE}${after}`);
    rows.push(...page.data.map(rowOf));
    after = page.hasMore ? `&after=${encodeURIComponent(page.nextCursor)}` : "";
  } while (after);
  return rows;
}

/** @returns {Promise<VideoTask[]>} The latest videos, newest first, whatever became of them. */
export async function getVideoHistory(limit = 20) {
  return (await read(`/api/jobs?type=video&limit=${limit}`)).data.map(rowOf);
}

/**
 * As much of a Supabase client as tells of changes:
 * `supabase.channel("video_tasks").on("postgres_changes", {event: "UPDATE", ...}, callback).subscribe()`.
 */
export const supabase = {
  channel: (/** @type {string} */ _name) => new Channel(),
};

class Channel {
  #listeners = [];
  #stop = new AbortController();

  /**
   * @param {"postgres_changes"} _type
   * @param {{event: "INSERT" | "UPDATE" | "*"}} filter
   * @param {(payload: {eventType: string, new: VideoTask}) => void} callback
   */
  on(_type, { event }, callback) {
    this.#listeners.push({ event, callback });
    return this;
  }

  /** @param {(status: "SUBSCRIBED") => void} [onStatus] From then on no change is missed. */
  subscribe(onStatus) {
    this.#follow(onStatus).catch((error) => {
      if (!this.#stop.signal.aborted) console.error("video_tasks:", error);
    });
    return this;
  }

  unsubscribe() {
    this.#stop.abort();
  }

  /** Tells of every change from now on; again and again over lost connections. */
  async #follow(onStatus) {
    const { signal } = this.#stop;
    const known = new Map((await getVideoHistory(PAGE)).map((row) => [row.id, row.status]));
    onStatus?.("SUBSCRIBED");
    let lastEventId = "";
    while (!signal.aborted) {
      try {
        for await (const event of eventsAfter(lastEventId, signal)) {
          lastEventId = event.id || lastEventId;
          if (event.type !== "job.updated" || !event.job.type.startsWith("video")) continue;
          const row = rowOf(event.job);
          const before = known.get(row.id);
          known.set(row.id, row.status);
          if (before === undefined || before === "processing") this.#tell(row, { isNew: before === undefined });
        }
      } catch (error) {
        if (signal.aborted || (error.status >= 400 && error.status < 500)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_AFTER));
    }
  }

  /** A row that is seen for the first time when it has ended already is told of as a change: that is what is waited for. */
  #tell(row, { isNew }) {
    const eventType = isNew && row.status === "processing" ? "INSERT" : "UPDATE";
    const payload = { eventType, schema: "public", table: TABLE, new: row, old: {} };
    for (const { event, callback } of this.#listeners) if (event === "*" || event === eventType) callback(payload);
  }
}

/** @returns {VideoTask} */
function rowOf(job) {
  return {
    id: job.id,
    task_id: job.externalId ?? job.id,
    prompt: job.prompt ?? "",
    video_url: job.resultUrl,
    status: { completed: "completed", failed: "failed", canceled: "failed" }[job.status] ?? "processing",
    created_at: job.createdAt,
    completed_at: job.completedAt,
  };
}

/** The server-sent events of all of the caller's jobs, until the connection ends. */
async function* eventsAfter(lastEventId, signal) {
  const headers = { accept: "text/event-stream", ...(lastEventId && { "last-event-id": lastEventId }) };
  const reader = (await answer("/api/events", { headers, signal })).body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += decoder.decode(part.value, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const field = (name) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
      if (field("data")) yield { id: field("id"), type: field("event"), job: JSON.parse(field("data")) };
    }
  }
}

async function read(path) {
  return (await answer(path)).json();
}

async function answer(path, { headers = {}, signal } = {}) {
  const { baseUrl, apiKey } = connection;
  const key = typeof apiKey === "function" ? await apiKey() : apiKey;
  const response = await fetch(`${baseUrl.replace(/\/$/, "")}${path}`, {
    headers: { ...headers, ...(key && { authorization: `Bearer ${key}` }) },
    credentials: key ? "omit" : "include",
    signal,
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw Object.assign(new Error(problem.error ?? problem.detail ?? `Reelay answered ${response.status}`), {
    status: response.status,
    code: problem.code,
  });
}
