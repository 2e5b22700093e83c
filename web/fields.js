/** One field of the form for one input of the catalogue. */

import { h, say, show } from "./dom.js";
import { about, choose, remember, still } from "./files.js";
import { language, t } from "./messages.js";
import { label } from "./format.js";

/** Up to so many choices are shown side by side. */
const CHIPS_AT_MOST = 6;
const LANGUAGES = new Intl.DisplayNames([language], { type: "language", fallback: "code" });

let numbered = 0;

/**
 * @param {{name: string, providerName: string, type: string, about: string, required: boolean, default: any, limit: any}} input
 * @param {any} kept What was entered before; kept where it still fits.
 * @param {string} kind
 * @param {import("./session.js").Session} session
 */
export function fieldFor(input, kept, kind, session) {
  const choices = choicesOf(input);
  const value = choices && !choices.includes(kept) ? undefined : kept;
  if (input.type === "flag") return new Flag(input, value);
  if (choices && choices.length <= CHIPS_AT_MOST && input.default !== null) return new Chips(input, value, choices);
  if (choices) return new Select(input, value, choices);
  if (input.type === "text") return new Words(input, value, kind);
  if (input.type === "url") return new Address(input, value, session);
  if (input.type === "json") return new Json(input, value);
  return new Line(input, value);
}

function choicesOf(input) {
  if (input.type === "flag") return null;
  return Array.isArray(input.limit) ? input.limit : (input.limit?.choices ?? null);
}

class Field {
  constructor(input) {
    this.input = input;
    this.id = `field-${++numbered}`;
    this.isWrong = false;
    this.error = h("p", { class: "error", id: `${this.id}-error`, hidden: true });
    this.hint = h("p", { class: "hint", id: `${this.id}-hint` }, hintFor(input));
    const isOpen = !input.required && input.default === null;
    this.label = [label(input.name), isOpen && h("span", { class: "optional" }, t(" optional"))].filter(Boolean);
  }

  /** What describes the control, for its `aria-describedby`. */
  get described() {
    return { id: this.id, name: this.input.name, "aria-describedby": `${this.id}-hint ${this.id}-error` };
  }

  wrap(...children) {
    const hint = this.hint.textContent ? this.hint : null;
    return h("div", { class: "field" }, ...children, this.error, hint);
  }

  focus() {
    (this.control ?? this.element.querySelector("input")).focus();
  }

  /** @param {string} message Empty when it is right. */
  complain(message) {
    this.isWrong = Boolean(message);
    say(this.error, message);
    show(this.error, this.isWrong);
    if (this.isWrong) this.control?.setAttribute("aria-invalid", "true");
    else this.control?.removeAttribute("aria-invalid");
  }
}

class Words extends Field {
  constructor(input, kept, kind) {
    super(input);
    const rows = input.required ? (kind === "voice" ? 6 : 4) : 2;
    const placeholder = input.required ? aboutOf(input) : null;
    this.control = h("textarea", { ...this.described, rows, placeholder, value: kept ?? input.default ?? "", required: input.required });
    this.element = this.wrap(h("label", { for: this.id }, ...this.label), this.control);
    this.count();
    this.control.addEventListener("input", () => this.count());
  }

  value() {
    const text = this.control.value;
    return text.trim() && text !== this.input.default ? text : undefined;
  }

  /** Told once it matters. */
  count() {
    const most = this.input.limit?.maxLength ?? Infinity;
    const { length } = this.control.value;
    if (length > most * 0.8) say(this.hint, t("{length} of {most} characters", { length, most }));
    else say(this.hint, this.input.required ? "" : hintFor(this.input));
    show(this.hint, Boolean(this.hint.textContent));
    if (!this.hint.isConnected && this.hint.textContent) this.element?.append(this.hint);
  }
}

class Line extends Field {
  constructor(input, kept) {
    super(input);
    const { limit } = input;
    const isNumber = ["integer", "number", "duration"].includes(input.type);
    this.control = h("input", {
      ...this.described,
      type: isNumber ? "number" : "url",
      inputmode: isNumber ? "decimal" : "url",
      min: isNumber ? limit?.min : null,
      max: isNumber ? limit?.max : null,
      step: input.type === "integer" ? 1 : "any",
      placeholder: isNumber ? String(input.default ?? t("automatic")) : "https://…",
      value: kept ?? "",
      required: input.required,
    });
    this.isNumber = isNumber;
    this.element = this.wrap(h("label", { for: this.id }, ...this.label), this.control);
  }

  value() {
    const text = this.control.value.trim();
    if (!text) return undefined;
    return this.isNumber ? Number(text) : text;
  }
}

/** Any value, as JSON; what is none is sent as it is, for the API to say what is wanted. Of a list of addresses, one a line. */
class Json extends Field {
  constructor(input, kept) {
    super(input);
    this.isList = /urls$/i.test(input.name);
    const value = kept === undefined ? "" : this.isList && Array.isArray(kept) ? kept.join("\n") : JSON.stringify(kept);
    this.control = h("textarea", { ...this.described, rows: 2, value, spellcheck: "false", placeholder: this.isList ? "https://…" : "JSON", required: input.required });
    this.element = this.wrap(h("label", { for: this.id }, ...this.label), this.control);
  }

  value() {
    const text = this.control.value.trim();
    if (!text) return undefined;
    try {
      return JSON.parse(text);
    } catch {
      return this.isList ? text.split(/\s+/) : text;
    }
  }
}

/** An address, or a file of the user's: dropped, pasted, from the disk, or one that is there already. */
class Address extends Line {
  constructor(input, kept, session) {
    super(input, kept);
    this.session = session;
    [this.fileKind = "image"] = input.name.match(/audio|video/i)?.map((kind) => kind.toLowerCase()) ?? [];
    this.chosen = h("p", { class: "chosen", "aria-live": "polite", hidden: true });
    this.disk = h("input", { type: "file", accept: `${this.fileKind}/*`, hidden: true, onchange: () => this.take(this.disk.files[0]) });
    const buttons = h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", onclick: () => this.disk.click() }, t("Choose a file")),
      h("button", { type: "button", onclick: () => this.pick() }, t("From your files")),
    );
    this.element.classList.add("drop");
    this.control.after(this.chosen, this.disk, buttons);
    this.element.addEventListener("dragover", (event) => this.over(event, true));
    this.element.addEventListener("dragleave", (event) => this.over(event, false));
    this.element.addEventListener("drop", (event) => {
      this.over(event, false);
      this.take(event.dataTransfer.files[0]);
    });
    this.control.addEventListener("paste", (event) => {
      const [file] = event.clipboardData.files;
      if (!file) return;
      event.preventDefault();
      this.take(file);
    });
    this.control.addEventListener("input", () => this.showChosen());
    this.showChosen();
  }

  over(event, isOver) {
    event.preventDefault();
    this.element.classList.toggle("over", isOver);
  }

  async take(file) {
    if (!file) return;
    this.complain("");
    show(this.chosen, true);
    say(this.chosen, t("Uploading {name}…", { name: file.name }));
    try {
      const asset = await this.session.upload(file);
      remember(asset);
      this.set(asset.uri);
    } catch (error) {
      this.showChosen();
      this.complain(t(error.errors?.[0]?.message ? `${file.name} ${error.errors[0].message}.` : error.message));
    }
  }

  async pick() {
    try {
      const reference = await choose(this.session, this.fileKind);
      if (reference) this.set(reference);
    } catch (error) {
      this.complain(t(error.message));
    }
  }

  /** As if it had been typed: the form hears of it. */
  set(reference) {
    this.control.value = reference;
    this.control.dispatchEvent(new Event("input", { bubbles: true }));
  }

  showChosen() {
    const file = about(this.control.value.trim());
    show(this.chosen, Boolean(file));
    if (file) this.chosen.replaceChildren(still(file.picture), file.name);
  }
}

class Select extends Field {
  constructor(input, kept, choices) {
    super(input);
    const automatic = input.default === null ? [h("option", { value: "" }, t("Automatic"))] : [];
    const chosen = kept ?? input.default;
    const options = choices.map((choice) => h("option", { value: choice, selected: choice === chosen }, choiceInWords(input, choice)));
    this.control = h("select", this.described, ...automatic, ...options);
    this.choices = choices;
    this.element = this.wrap(h("label", { for: this.id }, ...this.label), this.control);
  }

  value() {
    const chosen = this.choices.find((choice) => String(choice) === this.control.value);
    return chosen === this.input.default ? undefined : chosen;
  }
}

class Chips extends Field {
  constructor(input, kept, choices) {
    super(input);
    const chosen = kept ?? input.default;
    this.radios = choices.map((choice) => h("input", { type: "radio", name: this.input.name, value: choice, checked: choice === chosen }));
    const chips = this.radios.map((radio, index) => h("label", {}, radio, h("span", {}, choiceInWords(input, choices[index]))));
    this.choices = choices;
    const group = h("fieldset", { class: "chips", "aria-describedby": this.described["aria-describedby"] }, h("legend", {}, label(input.name)), ...chips);
    this.element = this.wrap(group);
  }

  value() {
    const chosen = this.choices[this.radios.findIndex((radio) => radio.checked)];
    return chosen === this.input.default ? undefined : chosen;
  }
}

class Flag extends Field {
  constructor(input, kept) {
    super(input);
    this.control = h("input", { ...this.described, type: "checkbox", checked: kept ?? input.default ?? false });
    this.element = this.wrap(h("label", { class: "check" }, this.control, label(input.name)));
  }

  value() {
    return this.control.checked === Boolean(this.input.default) ? undefined : this.control.checked;
  }
}

function choiceInWords(input, choice) {
  if (input.type === "duration") return `${choice} s`;
  if (input.name === "language") return LANGUAGES.of(choice === "jw" ? "jv" : choice);
  return String(choice).replaceAll("_", " ");
}

function aboutOf(input) {
  const about = t(input.about ?? "");
  return about ? about[0].toUpperCase() + about.slice(1) : "";
}

function hintFor(input) {
  const isRange = ["integer", "number", "duration"].includes(input.type) && input.limit && !Array.isArray(input.limit);
  // Seeds go up to four billion: nobody wants to read that.
  const range = isRange && input.limit.max < 1e6 ? t(input.type === "duration" ? "{min} to {max} seconds" : "{min} to {max}", input.limit) : "";
  return [aboutOf(input), range].filter(Boolean).join(". ");
}
