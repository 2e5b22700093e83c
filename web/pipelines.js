/** Pipelines: a plan drawn as its steps, with what each has made, what it cost, and what waits for a decision. */

import { h, icon, say, show } from "./dom.js";
import { ago, kindLabel, money } from "./format.js";
import { localAddress } from "./media.js";
import { t } from "./messages.js";
import { watchPipeline } from "./reelay.js";

const STATES = {
  waiting: "Waiting for other steps",
  running: "Under way",
  waiting_for_approval: "Waiting for you",
  completed: "Ready",
  reused: "Reused",
  failed: "Failed",
  skipped: "Skipped",
  canceled: "Canceled",
};
const CHANGED_IN = ["prompt", "text"];
const AWAY = 2000;

const stateOf = (status) => t(STATES[status]);

export function pipelinesView({ session, signal }) {
  const list = h("ul", { class: "cards" });
  const empty = h("div", { class: "empty", hidden: true });

  async function read() {
    try {
      const { data } = await session.call("/api/pipelines?limit=100");
      if (signal.aborted) return;
      list.replaceChildren(...data.map(pipelineCard));
      empty.replaceChildren(h("h2", {}, t("No films yet")), h("p", {}, t("Make one of a clip: a first frame, a video, a voice and a sound become one film.")), h("a", { class: "button", href: "#/campaigns" }, t("Campaigns")));
      show(empty, data.length === 0);
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      empty.replaceChildren(h("p", {}, t("It cannot be read at the moment. {error}", { error: t(error.message) })), h("button", { type: "button", onclick: read }, t("Try again")));
      show(empty, true);
    }
  }

  read();
  return { element: h("div", {}, h("h1", {}, t("Films")), empty, list), title: t("Films") };
}

function pipelineCard(pipeline) {
  const made = t("made {ago}", { ago: ago(pipeline.createdAt) });
  const facts = [stateOf(pipeline.status), money(pipeline.costCents), made];
  return h("li", { class: "card" }, h("a", { class: "title", href: `#/pipelines/${pipeline.id}` }, pipeline.name || t("Untitled")), h("p", { class: "hint" }, facts.join(" · ")));
}

/** A form for a clip's film. */
export function produceView({ session, query, signal }) {
  const clip = query.get("clip") ?? "";
  const title = query.get("title") || t("Untitled");
  const parts = partsForm("part");
  const approve = h("input", { type: "checkbox" });
  const form = filmForm({
    session,
    signal,
    path: `/api/clips/${clip}/produce`,
    body: () => {
      const made = parts.made();
      return approve.checked && made.firstFrame ? { ...made, approvals: ["firstFrame"] } : made;
    },
    begun: (created) => `#/pipelines/${created.pipelineId}`,
    main: t("Make the film"),
    fields: [h("h1", {}, t("A film for {title}", { title })), ...parts.fields, approval(approve)],
  });
  return { element: form, title: t("Make the film") };
}

/** A form for the films of a campaign's clips: all of them, or none. */
export function produceCampaignView({ session, id, signal }) {
  const element = h("div", {}, h("p", { class: "hint" }, t("Reading…")));

  async function read() {
    try {
      build(await session.call(`/api/campaigns/${encodeURIComponent(id)}`));
    } catch (error) {
      if (!signal.aborted && error.status !== 401) element.replaceChildren(h("p", { class: "error" }, t(error.message)));
    }
  }

  function build(campaign) {
    const forms = campaign.clips.map((clip) => ({ clip, ...partsForm(clip.id, clip.metadata.parts) }));
    const approve = h("input", { type: "checkbox" });
    const form = filmForm({
      session,
      signal,
      path: `/api/campaigns/${campaign.id}/produce`,
      body: () => ({
        clips: Object.fromEntries(forms.map(({ clip, made }) => [clip.id, made()])),
        approvals: approve.checked ? ["firstFrame"] : [],
      }),
      begun: () => "#/pipelines",
      isConfirmed: true,
      main: t("Make all films"),
      fields: [
        h("h1", {}, t("The films of {name}", { name: campaign.name })),
        ...forms.map(({ clip, fields }) => h("fieldset", { class: "fields" }, h("legend", {}, h("h2", {}, clip.title || t("Untitled"))), ...fields)),
        approval(approve),
      ],
    });
    element.replaceChildren(form);
  }

  read();
  return { element, title: t("Make all films") };
}

function approval(control) {
  return h("label", { class: "check" }, control, t("Let me approve the first frame before the video is made"));
}

/** The fields of what a film is made of, and how to read them. */
function partsForm(id, given = {}) {
  const parts = {
    firstFrame: words(`${id}-firstFrame`, t("First frame: what it shows"), given.firstFrame?.prompt),
    video: words(`${id}-video`, t("Video: what happens"), given.video?.prompt, true),
    voice: words(`${id}-voice`, t("Voice: what is said"), given.voice?.text),
    ambient: words(`${id}-ambient`, t("Sound: what is heard"), given.ambient?.prompt),
  };
  const captions = h("input", { type: "checkbox", checked: true });
  const made = () => {
    const has = (name) => parts[name].control.value.trim();
    const asked = { video: { ...given.video, prompt: has("video") }, captions: captions.checked };
    if (has("firstFrame")) asked.firstFrame = { ...given.firstFrame, prompt: has("firstFrame") };
    if (has("voice")) asked.voice = { ...given.voice, text: has("voice") };
    if (has("ambient")) asked.ambient = { ...given.ambient, prompt: has("ambient") };
    return asked;
  };
  const fields = [...Object.values(parts).map((part) => part.element), h("label", { class: "check" }, captions, t("Show the voice's words as captions"))];
  return { fields, made };
}

/** Tells the price, and makes what the body says; what is to be confirmed, for no more than the price that was told. */
function filmForm({ session, signal, path, body, begun, main, fields, isConfirmed = false }) {
  const price = h("p", { class: "hint", "aria-live": "polite" });
  const problem = h("p", { class: "error", role: "alert", hidden: true });
  const ask = async (where, more = {}) => {
    show(problem, false);
    try {
      return await session.call(where, { method: "POST", body: { ...body(), ...more }, signal });
    } catch (error) {
      say(problem, t(error.errors?.[0] ? `${error.errors[0].field} ${error.errors[0].message}` : error.message));
      show(problem, error.status !== 401);
      return null;
    }
  };
  const estimate = async () => {
    const plan = await ask(`${path}?dryRun=1`);
    if (plan) say(price, t("It would cost {price}.", { price: money(plan.estimatedCostCents) }));
    return plan;
  };
  const submit = async (event) => {
    event.preventDefault();
    const plan = isConfirmed ? await estimate() : null;
    if (isConfirmed && !(plan && confirm(price.textContent))) return;
    const created = await ask(path, plan ? { budgetCents: plan.estimatedCostCents } : {});
    if (created) location.hash = begun(created);
  };
  const buttons = h("div", { class: "buttons" }, h("button", { class: "main" }, main), h("button", { type: "button", onclick: estimate }, t("What does it cost?")));
  return h("form", { class: "card fields", onsubmit: submit }, ...fields, problem, price, buttons);
}

function words(id, label, text = "", required = false) {
  const control = h("textarea", { id, rows: "2", required, maxlength: "5000" }, text);
  return { control, element: h("div", { class: "field" }, h("label", { for: control.id }, label), control) };
}

export function pipelineView({ session, id, signal }) {
  const view = new PipelineView(session, id, signal);
  view.follow();
  return { element: view.element, title: t("Film") };
}

class PipelineView {
  constructor(session, id, signal) {
    this.session = session;
    this.id = id;
    this.signal = signal;
    this.steps = new Map();
    this.state = h("p", { class: "big-state", role: "status" });
    this.cost = h("span", { class: "left" });
    this.title = h("h1", {}, t("Film"));
    this.film = h("div", { class: "stage", hidden: true });
    this.list = h("ol", { class: "steps" });
    this.problem = h("p", { class: "error", role: "alert", hidden: true });
    this.price = h("p", { class: "hint", "aria-live": "polite" });
    this.cancel = h("button", { type: "button", onclick: () => this.order("cancel") }, t("Cancel"));
    this.retry = h("button", { type: "button", onclick: () => this.order("retry") }, t("Retry"));
    this.again = h("button", { type: "button", class: "main", onclick: () => this.rerun() }, t("Make it again with these changes"));
    this.ask = h("button", { type: "button", onclick: () => this.plan() }, t("What does it cost?"));
    this.changes = h("div", { class: "buttons", hidden: true }, this.again, this.ask);
    this.element = h("article", { class: "pipeline" }, h("p", { class: "hint" }, t("Reading…")));
  }

  async follow() {
    const { session, signal } = this;
    while (!signal.aborted) {
      try {
        for await (const pipeline of watchPipeline(this.id, { apiKey: session.key, signal })) {
          if (signal.aborted) return;
          this.update(pipeline);
        }
        return;
      } catch (error) {
        if (signal.aborted || error.status === 401) return;
        if ([404, 422].includes(error.status)) {
          this.element.replaceChildren(h("h1", {}, t("Not found")), h("p", {}, t("There is no such film, or it is not yours.")));
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, AWAY));
      }
    }
  }

  update(pipeline) {
    if (!this.pipeline) this.build(pipeline);
    this.pipeline = pipeline;
    say(this.state, stateOf(pipeline.status));
    say(this.cost, t("{cost} of {price}", { cost: money(pipeline.costCents), price: money(pipeline.estimatedCostCents) }));
    for (const [name, step] of Object.entries(pipeline.steps)) this.steps.get(name).update(step);
    const runs = ["running", "waiting_for_approval"].includes(pipeline.status);
    show(this.cancel, runs);
    show(this.retry, ["failed", "canceled"].includes(pipeline.status));
    show(this.changes, !runs);
    this.showFilm(Object.values(pipeline.steps).findLast((step) => step.kind === "mix" && step.files.length));
  }

  build(pipeline) {
    const name = pipeline.name || t("Untitled");
    document.title = `${name} · Reelay`;
    say(this.title, name);
    for (const [step, made] of Object.entries(pipeline.steps)) this.steps.set(step, new StepCard(this, step, made));
    this.list.replaceChildren(...[...this.steps.values()].map((step) => step.element));
    this.element.replaceChildren(
      h("p", { class: "crumb" }, h("a", { href: "#/pipelines" }, t("All films"))),
      this.title,
      h("div", { class: "now" }, this.state, this.cost, h("div", { class: "buttons" }, this.cancel, this.retry)),
      this.problem,
      this.film,
      this.list,
      this.price,
      this.changes,
    );
  }

  showFilm(step) {
    if (!step || this.shown === step.jobId) return;
    this.shown = step.jobId;
    const [file, ...others] = step.files;
    const captions = others.find((other) => other.name.endsWith(".vtt"));
    const track = captions && h("track", { kind: "captions", label: t("Captions"), src: localAddress(captions.fileUrl), default: true });
    const player = h("video", { controls: true, playsinline: true, preload: "metadata", width: file.width, height: file.height, "aria-label": t("The film") }, track);
    if (file.posterUrl) player.poster = localAddress(file.posterUrl);
    player.src = localAddress(file.fileUrl);
    this.film.replaceChildren(h("div", { class: "media" }, player));
    show(this.film, true);
  }

  /** For one that has ended the stream has ended, too: a retry is followed anew. */
  async order(what, body) {
    const pipeline = await this.post(what, body);
    if (!pipeline) return;
    this.update(pipeline);
    if (what === "retry") this.follow();
  }

  async post(what, body = {}) {
    show(this.problem, false);
    try {
      return await this.session.call(`/api/pipelines/${this.id}/${what}`, { method: "POST", body });
    } catch (error) {
      say(this.problem, t(error.errors?.[0] ? `${error.errors[0].field} ${error.errors[0].message}` : error.message));
      show(this.problem, error.status !== 401);
      return null;
    }
  }

  edits() {
    const changed = [...this.steps.values()].map((step) => [step.name, step.changed()]).filter(([, input]) => input);
    return { steps: Object.fromEntries(changed.map(([name, input]) => [name, { input }])) };
  }

  async plan() {
    const plan = await this.post("rerun?dryRun=1", this.edits());
    if (!plan) return;
    const bought = Object.entries(plan.steps).filter(([, step]) => step.status !== "reused");
    const names = bought.map(([name]) => name).join(", ") || t("nothing");
    say(this.price, t("It would make {names}, for {price}.", { names, price: money(plan.estimatedCostCents) }));
  }

  async rerun() {
    const created = await this.post("rerun", this.edits());
    if (created) location.hash = `#/pipelines/${created.pipelineId}`;
  }
}

class StepCard {
  constructor(view, name, step) {
    this.view = view;
    this.name = name;
    this.picture = h("span", { class: "thumb" }, icon(step.kind === "mix" ? "video" : (step.kind ?? "other")));
    this.state = h("span", { class: "hint", role: "status" });
    this.bar = h("progress", { max: "100", "aria-label": t("Progress of {name}", { name }) });
    this.cost = h("span", { class: "hint" });
    this.problem = h("p", { class: "error", hidden: true });
    this.field = CHANGED_IN.find((each) => typeof step.input[each] === "string");
    this.asked = this.field ? step.input[this.field] : "";
    this.words = h("textarea", { rows: "2", "aria-label": t("What {name} is asked for", { name }), value: this.asked });
    this.note = h("input", { type: "text", maxlength: "2000", "aria-label": t("Note about {name}", { name }), placeholder: t("Note") });
    const decide = (what) => () => view.order(what, { step: name, note: this.note.value.trim() });
    this.decision = h(
      "div",
      { class: "buttons", hidden: true },
      this.note,
      h("button", { type: "button", class: "main", onclick: decide("approve"), "aria-label": t("Approve {name}", { name }) }, t("Approve")),
      h("button", { type: "button", onclick: decide("reject"), "aria-label": t("Reject {name}", { name }) }, t("Reject")),
    );
    const kind = step.kind === "mix" ? t("Film") : kindLabel(step.kind ?? "other");
    this.link = h("a", { class: "title" }, kind);
    this.element = h(
      "li",
      { class: "card step", dataset: { step: name } },
      this.picture,
      h("div", { class: "body" }, h("div", { class: "line" }, this.link, this.state, this.cost), this.bar, this.problem, this.field && this.words, this.decision),
    );
  }

  update(step) {
    this.link.href = `#/jobs/${step.jobId}`;
    say(this.state, stateOf(step.status));
    this.element.dataset.status = step.status;
    this.bar.value = step.progress;
    show(this.bar, step.status === "running");
    say(this.cost, step.status === "reused" ? t("at no cost") : money(step.costCents || step.estimatedCostCents));
    say(this.problem, step.errorMessage || (step.status === "failed" ? step.note || "" : ""));
    show(this.problem, Boolean(this.problem.textContent));
    show(this.decision, step.status === "waiting_for_approval");
    this.words.readOnly = !["completed", "reused", "failed", "skipped"].includes(step.status);
    const [file] = step.files;
    const still = file && (file.posterUrl ?? (file.format.startsWith("image/") ? file.fileUrl : null));
    if (still && !this.still) {
      this.still = h("img", { alt: "", loading: "lazy", src: localAddress(still) });
      this.picture.replaceChildren(this.still);
    }
  }

  /** The input that was edited; null where nothing was. */
  changed() {
    const words = this.words.value.trim();
    return this.field && words && words !== this.asked ? { [this.field]: words } : null;
  }
}
