/** The form, built from the catalogue, and beside it the jobs. */

import { inputsOf } from "./endpoint-inputs.js";
import { fieldFor } from "./fields.js";
import { h, icon, say, settled, show } from "./dom.js";
import { jobList } from "./list.js";
import { t } from "./messages.js";
import { complain, toast } from "./notices.js";
import { Refused } from "./reelay.js";
import { duration, kindLabel, label, money } from "./format.js";

const KINDS = ["video", "first-frame", "voice", "ambient", "transcribe", "other"];
const FIRST_FRAME = "firstFrameUrl";
/** Shown at once; the rest is behind t("More settings"). */
const PROMINENT = new Set(["prompt", "text", "audioUrl", FIRST_FRAME, "duration", "aspectRatio", "resolution"]);
const ESTIMATE_AFTER = 250;
/** The price does not depend on the prompt, so it is shown before there is one. */
const STAND_INS = { text: "x", url: "https://example.com/x" };

export function createView({ session, jobs, query, signal }) {
  const form = new CreateForm(session, query);
  form.load();
  const list = jobList({ jobs, signal });
  const element = h(
    "div",
    { class: "create" },
    h("section", { "aria-labelledby": "create-title" }, h("h1", { id: "create-title" }, t("Create")), form.element),
    h("section", { "aria-labelledby": "jobs-title", class: "jobs" }, list),
  );
  return { element, title: t("Create") };
}

class CreateForm {
  constructor(session, query) {
    this.session = session;
    this.belongings = { campaignId: query.get("campaign") ?? undefined, clipId: query.get("clip") ?? undefined };
    this.kind = KINDS.includes(query.get("kind")) ? query.get("kind") : "video";
    this.clipTitle = query.get("title");
    this.frame = query.get("frame");
    this.models = [];
    /** The endpoint that the kind "other" makes; the catalogue need not know it. */
    this.endpoint = null;
    this.fields = [];
    this.estimates = 0;
    /** Whether it was sent with something missing: only then is that worth telling. */
    this.wasSent = false;
    this.body = h("div", { class: "fields" }, h("p", { class: "hint" }, t("Reading the catalogue…")));
    this.price = h("output", { class: "price", "aria-live": "polite" });
    this.button = h("button", { class: "main", disabled: true }, t("Generate"));
    this.problem = h("p", { class: "error", role: "alert", hidden: true });
    this.estimate = settled(ESTIMATE_AFTER, () => this.showPrice());
    this.element = h(
      "form",
      { class: "card", novalidate: true, onsubmit: (event) => this.submit(event), oninput: (event) => this.changed(event) },
      this.clipNote(),
      this.kinds(),
      this.body,
      this.problem,
      h("div", { class: "send" }, this.button, this.price),
    );
  }

  async load() {
    try {
      const { data } = await this.session.call("/api/models");
      this.models = data.filter((model) => model.available !== false);
      this.build(this.frame ? { [FIRST_FRAME]: this.frame } : {});
    } catch (error) {
      if (error.status === 401) return;
      this.body.replaceChildren(h("p", { class: "error" }, t("The catalogue could not be read. {error} ", { error: t(error.message) })));
      this.body.append(h("button", { type: "button", onclick: () => this.load() }, t("Try again")));
    }
  }

  clipNote() {
    if (!this.belongings.clipId) return null;
    const clip = this.clipTitle ? t("“{title}”", { title: this.clipTitle }) : t("a clip");
    return h("p", { class: "notice" }, t("What you make goes to {clip}. ", { clip }), h("a", { href: "#/" }, t("Make it without the clip")));
  }

  kinds() {
    const choices = KINDS.map((kind) => {
      const radio = h("input", { type: "radio", name: "kind", value: kind, checked: kind === this.kind });
      return h("label", {}, radio, h("span", {}, icon(kind), kindLabel(kind)));
    });
    return h("fieldset", { class: "kinds" }, h("legend", { class: "visually-hidden" }, t("What to make")), ...choices);
  }

  /** The kind's models, each once: those that take a first frame share the name of those that do not. */
  names() {
    return [...new Map(this.models.filter((model) => model.kind === this.kind).map((model) => [model.name, model.title]))];
  }

  /** The model that the API takes when none is named. */
  usual() {
    const ofKind = this.models.filter((model) => model.kind === this.kind);
    return (ofKind.find((model) => model.isDefault) ?? ofKind[0])?.name;
  }

  /** The entry that is meant by the name and by whether there is a first frame. */
  entry(name, hasFirstFrame) {
    const entries = this.models.filter((model) => model.name === name && model.kind === this.kind);
    return entries.find((model) => model.takesFirstFrame === hasFirstFrame) ?? entries[0];
  }

  /** @param {Record<string, any>} kept What was entered before, by name. */
  build(kept, name = this.usual()) {
    if (this.kind === "other") {
      this.buildEndpoint(kept);
      return;
    }
    this.name = name;
    if (!name) {
      this.body.replaceChildren(h("p", { class: "hint" }, t("No provider is set up for this.")));
      this.button.disabled = true;
      return;
    }
    this.hasFirstFrame = Boolean(kept[FIRST_FRAME]);
    const entry = this.entry(name, this.hasFirstFrame);
    const frame = this.entry(name, true).inputs.find((input) => input.name === FIRST_FRAME);
    const inputs = entry.inputs.filter((input) => input.name !== FIRST_FRAME);
    if (frame) inputs.splice(1, 0, { ...frame, required: frame.required && this.entry(name, false).takesFirstFrame });
    this.arrange(inputs, kept, this.modelField(), ...this.mostField(entry));
    this.button.disabled = false;
    this.entryShown = entry;
    this.showPrice();
  }

  /** @param {Element[]} first What stands above the fields of the inputs. */
  arrange(inputs, kept, ...first) {
    this.fields = inputs.map((input) => fieldFor(input, kept[input.name], this.kind, this.session));
    const isProminent = (field) => field.input.required || PROMINENT.has(field.input.name);
    const more = this.fields.filter((field) => !isProminent(field));
    this.more = h("details", { class: "more" }, h("summary", {}, t("More settings")), ...more.map((field) => field.element));
    this.body.replaceChildren(
      ...first,
      ...this.fields.filter(isProminent).map((field) => field.element),
      ...(more.length ? [this.more] : []),
    );
  }

  buildEndpoint(kept) {
    this.name = this.endpoint?.name;
    this.hasFirstFrame = false;
    this.entryShown = this.endpoint ?? {};
    this.arrange(this.endpoint ? inputsOf(this.endpoint) : [], kept, this.endpointField(), ...this.mostField(this.endpoint));
    this.button.disabled = !this.endpoint;
    say(this.price, "");
    if (this.endpoint) this.showPrice();
  }

  endpointField() {
    const props = { id: "endpoint", value: this.endpoint?.name ?? "", placeholder: "fal-ai/…", spellcheck: "false", "aria-describedby": "endpoint-hint" };
    const control = h("input", { ...props, onchange: () => this.readEndpoint(control.value.trim()) });
    const hint = h("p", { class: "hint", id: "endpoint-hint" }, t("The id of any endpoint of fal; its inputs follow."));
    return h("div", { class: "field" }, h("label", { for: "endpoint" }, t("Endpoint")), control, hint);
  }

  /** Where its price does not follow from its inputs. */
  mostField(entry) {
    if (!entry || entry.price?.foreseeable) return [];
    this.most ??= h("input", { id: "most", type: "number", min: 0, step: 1, inputmode: "numeric", "aria-describedby": "most-hint" });
    const hint = h("p", { class: "hint", id: "most-hint" }, t("Nobody knows its price in advance."));
    return [h("div", { class: "field" }, h("label", { for: "most" }, t("Most that it may cost, in cents")), this.most, hint)];
  }

  async readEndpoint(id) {
    const kept = this.values();
    this.endpoint = null;
    this.complain("");
    try {
      if (id) this.endpoint = await this.session.call(`/api/models/${id}`);
    } catch (error) {
      if (error.status === 401) return;
      this.button.disabled = true;
      this.complain(error.message);
      return;
    }
    if (this.kind === "other") this.buildEndpoint(kept);
  }

  /** What the request says besides its input. */
  terms() {
    return this.most?.isConnected && this.most.value ? { maxCostCents: Number(this.most.value) } : {};
  }

  modelField() {
    const options = this.names().map(([name, title]) => h("option", { value: name, selected: name === this.name }, title));
    const select = h("select", { id: "model", name: "model" }, ...options);
    return h("div", { class: "field" }, h("label", { for: "model" }, t("Model")), select);
  }

  changed({ target }) {
    if (target.id === "endpoint") return; // it is read when it is whole
    if (target.closest(".kinds")) {
      this.kind = target.value;
      this.build(this.values());
    } else if (target.id === "model") {
      this.build(this.values(), target.value);
      this.body.querySelector("#model").focus();
    } else if (target.name === FIRST_FRAME && Boolean(target.value) !== this.hasFirstFrame) {
      this.rebuildAround(target);
    }
    this.estimate();
  }

  /** The other inputs change with the first frame; the field that is being typed in keeps its focus. */
  rebuildAround(target) {
    const { selectionStart } = target;
    this.build(this.values(), this.name);
    const again = this.body.querySelector(`[name="${FIRST_FRAME}"]`);
    again.focus();
    again.setSelectionRange(selectionStart, selectionStart);
  }

  /** What was entered, without what is the default anyway. */
  values() {
    return Object.fromEntries(this.fields.map((field) => [field.input.name, field.value()]).filter(([, value]) => value !== undefined));
  }

  async showPrice() {
    if (!this.name) return;
    const entered = this.values();
    const required = this.fields.filter(({ input }) => input.required);
    const standIns = Object.fromEntries(required.map(({ input }) => [input.name, STAND_INS[input.type]]));
    const turn = ++this.estimates;
    try {
      const answer = await this.session.call("/api/estimate", {
        method: "POST",
        body: { model: this.name, input: { ...standIns, ...entered }, ...this.terms() },
      });
      if (turn !== this.estimates) return;
      this.showErrors(this.wasSent ? this.missing() : []);
      const cost = money(answer.estimatedCostCents);
      const price = answer.estimated ? t("about {money}", { money: cost }) : cost;
      say(this.price, t("{price} · takes about {duration}", { price, duration: duration(answer.estimatedSeconds) }));
      this.price.title = this.entryShown.price?.words ?? "";
    } catch (error) {
      if (turn !== this.estimates) return;
      say(this.price, error.code === "PRICE_UNKNOWN" ? t("Say what it may cost at most.") : "");
      if (error.code !== "INVALID_PARAMS") return;
      const untouched = new Set(required.filter(({ input }) => entered[input.name] === undefined).flatMap(({ input }) => [input.name, input.providerName]));
      const wrong = error.errors.filter(({ field }) => !untouched.has(field.replace(/^input\./, "")));
      this.showErrors([...(this.wasSent ? this.missing() : []), ...wrong]);
    }
  }

  async submit(event) {
    event.preventDefault();
    const missing = this.missing();
    this.wasSent = missing.length > 0;
    if (this.wasSent) {
      this.showErrors(missing);
      this.fields.find((field) => field.isWrong).focus();
      return;
    }
    await this.send({ model: this.name, input: this.values(), ...this.terms(), ...this.belongings });
  }

  /** What is needed and not there, as the API would put it. */
  missing() {
    const entered = this.values();
    const needed = this.fields.filter(({ input }) => input.required && entered[input.name] === undefined);
    return needed.map(({ input }) => ({ field: input.name, message: t("is needed") }));
  }

  async send(body) {
    this.button.disabled = true;
    show(this.problem, false);
    try {
      const { jobId } = await this.session.create(body);
      toast(t("It is on its way."), { href: `#/jobs/${jobId}` });
      this.session.dispatchEvent(new Event("spent"));
      this.showErrors([]);
    } catch (error) {
      await this.explain(error, body);
    } finally {
      this.button.disabled = false;
    }
  }

  async explain(error, body) {
    if (error.code === "CONFIRMATION_REQUIRED") {
      if (await confirmed(error.problem.estimatedCostCents)) await this.send({ ...body, confirm: true });
    } else if (error.code === "INVALID_PARAMS") {
      this.showErrors(error.errors);
      this.fields.find((field) => field.isWrong)?.focus();
    } else if (error.code === "INSUFFICIENT_CREDITS") {
      this.complain(t("{error} Nothing was created. Add credits, or choose a cheaper model or a shorter duration.", { error: error.message }));
    } else if (error.code === "PRICE_UNKNOWN") {
      this.complain(t("Say what it may cost at most."));
      this.most?.focus();
    } else if (error.code === "UNREACHABLE") {
      this.complain(t("The service cannot be reached. Your input is kept; generate again once it is back."));
    } else {
      this.complain(error.message);
      if (!(error instanceof Refused)) complain(error);
    }
  }

  complain(text) {
    say(this.problem, text);
    show(this.problem, Boolean(text));
  }

  /** Each at its field; what has no field here is told above the button. */
  showErrors(errors) {
    const left = new Map(errors.map((error) => [error.field.replace(/^input\./, ""), error.message]));
    for (const field of this.fields) {
      const message = left.get(field.input.name) ?? left.get(field.input.providerName);
      field.complain(message ? `${label(field.input.name)} ${message}.` : "");
      if (message && this.more.contains(field.element)) this.more.open = true;
      left.delete(field.input.name);
      left.delete(field.input.providerName);
    }
    this.complain([...left].map(([field, message]) => `${label(field)} ${message}.`).join(" "));
  }
}

/** Asks whether it may cost that much. */
function confirmed(cents) {
  return new Promise((resolve) => {
    const cost = money(cents);
    const dialog = h(
      "dialog",
      { "aria-labelledby": "confirm-title" },
      h("h2", { id: "confirm-title" }, t("Spend {cost}?", { cost })),
      h("p", {}, t("This one costs {cost}, which is more than usual. It is charged only if it succeeds.", { cost })),
      h(
        "form",
        { method: "dialog", class: "buttons" },
        h("button", { value: "no", autofocus: true }, t("Not now")),
        h("button", { value: "yes", class: "main" }, t("Generate for {cost}", { cost })),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
