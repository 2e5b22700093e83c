/** One job: its media, where it stands or why it failed, what happened when, and what can be done. */

import { h, say, settled, show } from "./dom.js";
import { orderButton, progressBar } from "./list.js";
import { hasExpired, localAddress, player, renewed } from "./media.js";
import { referenceTo } from "./files.js";
import { t } from "./messages.js";
import { toast } from "./notices.js";
import { FINAL } from "./reelay.js";
import { bytes, clock, clocks, duration, kindLabel, kindOf, label, moment, money, stateLabel, timeLeft, titleOf } from "./format.js";

const TIMELINE_AFTER = 200;

export function jobView({ session, jobs, id, signal }) {
  const view = new JobView(session, jobs, id, signal);
  view.load();
  return { element: view.element, title: t("Generation") };
}

class JobView {
  constructor(session, jobs, id, signal) {
    this.session = session;
    this.jobs = jobs;
    this.id = id;
    this.signal = signal;
    this.element = h("article", { class: "job" }, h("p", { class: "hint" }, t("Reading…")));
    this.state = h("p", { class: "big-state", role: "status" });
    this.left = h("span", { class: "left" });
    this.bar = progressBar();
    this.failure = h("div", { class: "failure", hidden: true });
    this.media = h("div", { class: "stage", hidden: true });
    this.timeline = h("ol", { class: "timeline" });
    this.log = h("pre", { tabindex: "0" });
    this.logBox = h("section", { class: "card", hidden: true }, h("h2", {}, t("The provider's log")), this.log);
    this.facts = h("dl", { class: "facts" });
    this.files = h("ul", { class: "files" });
    this.filesBox = h("section", { class: "card", hidden: true }, h("h2", {}, t("Files")), this.files);
    this.readTimeline = settled(TIMELINE_AFTER, () => this.showTimeline());
  }

  async load() {
    const { jobs, signal } = this;
    try {
      const job = await jobs.read(this.id);
      if (signal.aborted) return;
      this.build(job);
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      const isThere = error.status !== 404 && error.status !== 422;
      const text = isThere ? t("It cannot be read at the moment. {error}", { error: t(error.message) }) : t("There is no such generation, or it is not yours.");
      this.element.replaceChildren(h("h1", {}, isThere ? t("One moment") : t("Not found")), h("p", {}, text), h("p", {}, h("a", { href: "#/" }, t("Back to all"))));
      if (isThere) setTimeout(() => signal.aborted || this.load(), 3000);
      return;
    }
    jobs.addEventListener("changed", (event) => event.detail.id === this.id && this.update(event.detail), { signal });
    jobs.addEventListener("tick", () => this.tick(), { signal });
  }

  build(job) {
    const order = (name, what) => orderButton(name, () => this.jobs.order(this.id, what));
    this.cancel = order(t("Cancel"), "cancel");
    this.poll = orderButton(t("Ask the provider now"), async () => {
      await this.jobs.order(this.id, "poll");
      toast("The provider is being asked.");
    });
    this.retry = orderButton(t("Retry"), async () => {
      const { jobId } = await this.jobs.order(this.id, "retry");
      location.hash = `#/jobs/${jobId}`;
    });
    const runs = document.querySelector('meta[name="reelay-runs"]').content;
    const run = runs && h("a", { href: runs + this.id, target: "_blank", rel: "noopener", class: "button" }, t("Its run in Temporal"));
    document.title = `${titleOf(job).slice(0, 60)} · Reelay`;
    this.element.replaceChildren(
      h("p", { class: "crumb" }, h("a", { href: "#/" }, t("All generations"))),
      h("h1", { class: "prompt" }, titleOf(job)),
      h("div", { class: "now" }, this.state, this.left, h("div", { class: "buttons" }, this.cancel, this.poll, this.retry, run)),
      this.bar.element,
      this.failure,
      h(
        "div",
        { class: "columns" },
        h("div", {}, this.media, h("section", { class: "card" }, h("h2", {}, t("What happened")), this.timeline), this.logBox),
        h("div", {}, h("section", { class: "card" }, h("h2", {}, t("Details")), this.facts), this.inputs(job), this.filesBox),
      ),
    );
    this.update(job);
  }

  update(job) {
    this.job = job;
    const isActive = !FINAL.has(job.status);
    this.element.dataset.status = job.status;
    say(this.state, stateLabel(job));
    const hadFocus = [this.cancel, this.poll].includes(document.activeElement);
    for (const element of [this.cancel, this.poll, this.bar.element]) show(element, isActive);
    show(this.retry, job.status === "failed" || job.status === "canceled");
    if (hadFocus && !isActive) (this.retry.hidden ? document.getElementById("main") : this.retry).focus();
    this.bar.set(job);
    this.tick();
    this.showFailure(job);
    this.showMedia(job);
    this.showFacts(job);
    // Estimates move every two seconds; the timeline only when something happened.
    const mark = [job.status, job.stage, job.waitingFor, job.queuePosition, job.progressMessage, job.attempts].join();
    if (mark === this.mark) return;
    this.mark = mark;
    this.readTimeline();
  }

  tick() {
    say(this.left, FINAL.has(this.job.status) ? "" : [`${this.job.progress} %`, timeLeft(this.job)].filter(Boolean).join(" · "));
  }

  showFailure(job) {
    show(this.failure, job.status === "failed");
    if (job.status !== "failed") return;
    const code = job.errorCode && h("code", {}, job.errorCode);
    const charged = job.creditsDeducted ? t("{money} of your credits were charged.", { money: money(job.creditsDeducted) }) : t("None of your credits were charged.");
    this.failure.replaceChildren(
      h("p", { class: "why" }, job.errorMessage ?? t("It failed without a reason.")),
      h("p", {}, `${job.errorAdvice} ${charged} `, code),
    );
  }

  showMedia(job) {
    if (job.status !== "completed" || this.media.childElementCount) return;
    const media = player(job, this.session, { eager: true });
    if (media) this.media.append(media);
    if (job.flagged && job.files.length) this.media.append(h("p", { class: "notice" }, t("The provider's safety check flagged this result: it may be black or blurred.")));
    show(this.media, Boolean(media));
    const files = job.files.map((file) => this.fileLine(file, job));
    this.files.replaceChildren(...files);
    show(this.filesBox, files.length > 0);
  }

  fileLine(file, job) {
    const size = [
      file.format,
      bytes(file.fileSize),
      file.width && `${file.width} × ${file.height}`,
      file.durationSeconds && duration(file.durationSeconds),
    ];
    // Where a bucket has the file, a browser shows it instead of saving it: beside the page, not in its place.
    const link = h("a", { href: localAddress(file.fileUrl), download: file.name, target: "_blank", rel: "noopener" }, file.name);
    link.addEventListener("click", async (event) => {
      if (!hasExpired(link.href)) return;
      event.preventDefault();
      link.href = localAddress((await renewed(file, job, this.session)).fileUrl);
      link.click();
    });
    const isPicture = file.format.startsWith("image/");
    const frame = `#/?kind=video&frame=${encodeURIComponent(referenceTo(job, file))}`;
    const use = isPicture && h("a", { href: frame, class: "button" }, t("Use as first frame"));
    return h("li", {}, link, use, h("span", { class: "hint" }, size.filter(Boolean).join(" · ")), credentialsMark(file), h("code", { class: "sum" }, `sha256 ${file.sha256}`));
  }

  showFacts(job) {
    const took = job.completedAt && (Date.parse(job.completedAt) - Date.parse(job.createdAt)) / 1000;
    const facts = [
      [t("Kind"), kindLabel(kindOf(job))],
      [t("Model"), t("{model} at {provider}", job)],
      [t("Cost"), costOf(job)],
      [t("Created"), moment(job.createdAt)],
      [t("Expected end"), !FINAL.has(job.status) && job.estimatedCompletionRange && t("{earliest} to {latest}", clocks(job.estimatedCompletionRange))],
      [t("Ended"), job.completedAt && t("{moment}, after {duration}", { moment: moment(job.completedAt), duration: duration(took) })],
      [t("Submissions"), String(job.attempts)],
      [t("Provider's request"), job.falRequestId],
      [t("Job"), job.id],
      [t("Campaign"), job.campaignId && h("a", { href: `#/campaigns/${job.campaignId}` }, t("Open the campaign"))],
    ];
    const mark = JSON.stringify(facts);
    if (mark === this.factsMark) return;
    this.factsMark = mark;
    const pairs = facts.filter(([, value]) => value);
    this.facts.replaceChildren(...pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  }

  inputs(job) {
    const entries = Object.entries(job.input ?? {});
    if (!entries.length) return null;
    const pairs = entries.flatMap(([name, value]) => [h("dt", {}, label(name)), h("dd", {}, typeof value === "string" ? value : JSON.stringify(value))]);
    return h("section", { class: "card" }, h("h2", {}, t("Input")), h("dl", { class: "facts" }, ...pairs));
  }

  /** What the provider printed. It comes in pieces, whenever somebody asks for it. */
  showLog(pieces) {
    const lines = pieces.flatMap((event) => event.data.lines);
    say(this.log, lines.join("\n"));
    show(this.logBox, lines.length > 0);
  }

  async showTimeline() {
    let events;
    try {
      events = (await this.session.call(`/api/jobs/${encodeURIComponent(this.id)}/history`)).data;
    } catch {
      return; // it is read again at the next change
    }
    if (this.signal.aborted) return;
    const begin = Date.parse(events[0]?.at);
    const steps = events.filter((event) => !event.data.lines);
    const lines = steps.map((event) => {
      const since = (Date.parse(event.at) - begin) / 1000;
      const time = h("time", { datetime: event.at, title: moment(event.at) }, clock(event.at));
      return h("li", { dataset: { stage: event.stage, status: event.status } }, time, h("span", {}, event.detail), h("span", { class: "since" }, since ? `+${duration(since)}` : ""));
    });
    this.timeline.replaceChildren(...lines);
    this.showLog(events.filter((event) => event.data.lines));
  }
}

function costOf(job) {
  const estimate = money(job.estimatedCostCents);
  if (job.actualCostCents === null) return t("{estimate} estimated", { estimate });
  return t("{actual} ({estimate} estimated)", { actual: money(job.actualCostCents), estimate });
}

/** What a file's Content Credentials are worth, in a sentence; nothing of a file without any. */
function credentialsMark({ provenance }) {
  const issuer = provenance?.issuer ?? t("an unnamed signer");
  const text = {
    trusted: t("Content Credentials: signed by {issuer}, unchanged since", { issuer }),
    valid: t("Content Credentials: unchanged since it was signed as {issuer}, but no authority trusted here vouches for that name", { issuer }),
    invalid: t("Content Credentials: invalid. The file was changed after it was signed, or they cannot be read"),
  }[provenance?.state];
  return text && h("span", { class: "hint", dataset: { provenance: provenance.state } }, text);
}
