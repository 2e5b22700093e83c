/** The caller's jobs as far as they are known here, kept up to date by the stream. */

import { FINAL } from "./reelay.js";

const PAGE = 100;

/**
 * Tells `changed` with a job that is new or moved, `ended` with one that ended while it was watched, `listed` when a
 * page of older ones came, `state` with how updates arrive, `tick` every second while something is under way.
 */
export class Jobs extends EventTarget {
  /** @param {import("./session.js").Session} session */
  constructor(session) {
    super();
    this.session = session;
    this.known = new Map();
    this.cursor = null;
    this.hasMore = false;
    this.state = "";
    this.isListed = false;
    this.failed = null;
  }

  start() {
    this.list();
    this.session
      .watch({ onJob: (job) => this.take(job), onState: (state) => this.tellState(state) })
      .catch((error) => this.tell("stopped", error));
    const timer = setInterval(() => this.active().length && this.tell("tick"), 1000);
    this.session.end.signal.addEventListener("abort", () => clearInterval(timer));
  }

  /** The first page, and each time another one of older jobs. */
  async list() {
    const after = this.cursor ? `&after=${encodeURIComponent(this.cursor)}` : "";
    try {
      const page = await this.session.call(`/api/jobs?limit=${PAGE}${after}`);
      for (const job of page.data) this.keep(job);
      this.cursor = page.nextCursor;
      this.hasMore = page.hasMore;
      this.isListed = true;
      this.tell("listed");
    } catch {
      if (!this.isListed && !this.session.end.signal.aborted) setTimeout(() => this.list(), 2000);
    }
  }

  /** Newest first. */
  all() {
    return [...this.known.values()].sort((one, other) => (one.createdAt < other.createdAt ? 1 : -1));
  }

  active() {
    return [...this.known.values()].filter((job) => !FINAL.has(job.status));
  }

  /** @throws {Refused | NotReachable} */
  async read(id) {
    this.take(await this.session.call(`/api/jobs/${encodeURIComponent(id)}?logs=1`));
    return this.known.get(id);
  }

  /** `cancel`, `retry` or `poll`. */
  async order(id, what) {
    const answer = await this.session.call(`/api/jobs/${encodeURIComponent(id)}/${what}`, { method: "POST" });
    if (answer.id) this.take(answer);
    return answer;
  }

  take(update) {
    const before = this.known.get(update.id);
    if (!before && !update.createdAt) return;
    if (before && FINAL.has(before.status) && !FINAL.has(update.status)) return;
    const job = this.keep(update);
    this.tell("changed", job);
    if (before && !FINAL.has(before.status) && FINAL.has(job.status)) this.tell("ended", job);
  }

  keep(update) {
    const before = this.known.get(update.id);
    if (before && FINAL.has(before.status) && !FINAL.has(update.status)) return before;
    const job = { ...before, ...update, seenAt: Date.now() };
    job.resultData ??= before?.resultData ?? null; // lists leave it out
    // A bar that goes backwards says nothing; only a new run of the job may start over.
    if (before && !FINAL.has(job.status)) job.progress = Math.max(job.progress, before.progress);
    this.known.set(job.id, job);
    return job;
  }

  tellState(state) {
    if (state === this.state) return;
    this.state = state;
    this.tell("state", state);
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
