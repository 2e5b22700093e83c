/** Batches: a table of comma-separated values, a job for each of its lines; and what becomes of them. */

import { h, say, show } from "./dom.js";
import { clock, money, statusLabel } from "./format.js";
import { t } from "./messages.js";
import { cancelBatch, createBatch, estimateBatch, watchBatch } from "./reelay.js";

const MODEL = "model";
const EXAMPLE = "prompt,duration\nA harbour in the rain,8\nA lighthouse at night,4";
const ERRORS_SHOWN = 20;

/** What is wrong with the table, each with its line; nothing of it can be sent. */
class WrongTable extends Error {
  constructor(errors) {
    super();
    this.errors = errors;
  }
}

export function newBatchView({ session, signal }) {
  const form = new BatchForm(session, signal);
  form.load();
  return { element: form.element, title: t("Batch") };
}

class BatchForm {
  constructor(session, signal) {
    this.session = session;
    this.signal = signal;
    /** That was priced, and is sent if it is confirmed; null once the table is another one. */
    this.priced = null;
    this.model = h("select", { id: "batch-model" }, h("option", { value: "" }, t("As the column model says")));
    this.file = h("input", { id: "batch-file", type: "file", accept: ".csv,text/csv", onchange: () => this.readFile() });
    this.table = h("textarea", { id: "batch-table", rows: "8", spellcheck: "false", placeholder: EXAMPLE });
    this.problems = h("div", { class: "error", role: "alert", hidden: true });
    this.price = h("p", { class: "hint", role: "status" });
    this.create = h("button", { type: "button", class: "main", hidden: true, onclick: () => this.send() });
    this.element = h(
      "form",
      { class: "card fields", novalidate: true, onsubmit: (event) => this.check(event), oninput: () => this.forget() },
      h("h1", {}, t("A job for each line")),
      h("p", { class: "hint" }, t("The first line names the inputs, separated by commas. An empty cell leaves its input out.")),
      field(this.model, t("Model of lines without one")),
      field(this.file, t("Table, as a CSV file")),
      field(this.table, t("Or its text")),
      this.problems,
      this.price,
      h("div", { class: "buttons" }, h("button", {}, t("Check, and tell the price")), this.create),
    );
  }

  async load() {
    try {
      const { data } = await this.session.call("/api/models");
      const names = new Map(data.filter((model) => model.available !== false).map((model) => [model.name, model.title]));
      this.model.append(...[...names].map(([name, title]) => h("option", { value: name }, title)));
    } catch (error) {
      if (error.status !== 401) this.complain([t(error.message)]);
    }
  }

  async readFile() {
    const [file] = this.file.files;
    if (!file) return;
    this.table.value = await file.text();
    this.forget();
  }

  forget() {
    this.priced = null;
    say(this.price, "");
    show(this.problems, false);
    show(this.create, false);
  }

  async check(event) {
    event.preventDefault();
    this.forget();
    try {
      const jobs = jobsOf(this.table.value, this.model.value);
      const { total, estimatedCostCents } = await this.session.watched(estimateBatch(jobs, this.options()));
      this.priced = jobs;
      say(this.price, t("{count} jobs, {price} at most.", { count: total, price: money(estimatedCostCents) }));
      say(this.create, t("Create {count} jobs", { count: total }));
      show(this.create, true);
    } catch (error) {
      this.refuse(error);
    }
  }

  async send() {
    if (!this.priced || this.create.getAttribute("aria-disabled") === "true") return;
    this.create.setAttribute("aria-disabled", "true");
    try {
      const { batchId } = await this.session.watched(createBatch(this.priced, this.options()));
      this.session.dispatchEvent(new Event("spent"));
      location.hash = `#/batches/${batchId}`;
    } catch (error) {
      this.refuse(error);
    } finally {
      this.create.setAttribute("aria-disabled", "false");
    }
  }

  refuse(error) {
    if (this.signal.aborted || error.status === 401) return;
    this.complain(error instanceof WrongTable ? error.errors : error.errors?.length ? error.errors.map(ofLine) : [t(error.message)]);
  }

  complain(texts) {
    const more = texts.length - ERRORS_SHOWN;
    const lines = texts.slice(0, ERRORS_SHOWN).map((text) => h("li", {}, text));
    this.problems.replaceChildren(h("ul", {}, ...lines), more > 0 && h("p", {}, t("and {count} more", { count: more })));
    show(this.problems, true);
  }

  options() {
    return { apiKey: this.session.key, signal: this.signal };
  }
}

function field(control, text) {
  return h("div", { class: "field" }, h("label", { for: control.id }, text), control);
}

/** An error of the API's, by the line of the table that it is about. */
function ofLine({ field, message }) {
  const [, position, name] = /^jobs\.(\d+)\.?(.*)$/.exec(field) ?? [];
  if (position === undefined) return `${field} ${message}`;
  return t("Line {line}: {text}", { line: Number(position) + 2, text: `${name.replace(/^input\./, "")} ${message}` });
}

/**
 * The bodies of the jobs. A number, `true` or `false` is one, as for `reelay batch`.
 *
 * @throws {WrongTable}
 */
export function jobsOf(text, model) {
  const [header, ...lines] = rowsOf(text);
  if (!header || !lines.length) throw new WrongTable([t("The table has no lines under its header.")]);
  const errors = [];
  const jobs = lines.map((cells, index) => {
    const line = index + 2;
    const row = Object.fromEntries(header.map((name, column) => [name.trim(), cells[column] ?? ""]));
    if (cells.length !== header.length) errors.push(t("Line {line}: {text}", { line, text: t("it has not as many cells as the header") }));
    else if (!(row[MODEL] || model)) errors.push(t("Line {line}: {text}", { line, text: t("it names no model") }));
    const inputs = Object.entries(row).filter(([name, cell]) => name !== MODEL && cell !== "");
    return { model: row[MODEL] || model, input: Object.fromEntries(inputs.map(([name, cell]) => [name, valueOf(cell)])), confirm: true };
  });
  if (errors.length) throw new WrongTable(errors);
  return jobs;
}

/** Cells may stand in quotation marks, and hold commas, line breaks and doubled quotation marks then (RFC 4180). */
export function rowsOf(text) {
  const rows = [];
  let cells = [];
  const pattern = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/gy;
  const source = text.replace(/^\uFEFF/, "").replace(/\r?\n$/, "");
  for (let match = pattern.exec(source); match; match = pattern.exec(source)) {
    cells.push(match[1] === undefined ? match[2] : match[1].replaceAll('""', '"'));
    if (match[3] !== ",") {
      if (cells.length > 1 || cells[0] !== "") rows.push(cells);
      cells = [];
    }
    if (pattern.lastIndex >= source.length && match[3] !== ",") return rows;
  }
  throw new WrongTable([t("Line {line}: {text}", { line: rows.length + 1, text: t("a quotation mark is open, or stands within a cell") })]);
}

function valueOf(cell) {
  try {
    const value = JSON.parse(cell);
    return ["number", "boolean"].includes(typeof value) ? value : cell;
  } catch {
    return cell;
  }
}

export function batchView({ session, id, signal }) {
  const state = h("p", { class: "big-state", role: "status" });
  const bar = h("progress", { max: "100", "aria-label": t("Progress") });
  const facts = h("p", { class: "hint" });
  const problem = h("p", { class: "error", role: "alert", hidden: true });
  const cancel = h("button", { type: "button", onclick: () => order() }, t("Cancel"));
  const jobs = h("ol", { class: "batch-jobs" });

  function tell(batch) {
    const counts = Object.entries(batch.counts).filter(([, count]) => count);
    say(state, counts.map(([status, count]) => `${count} ${statusLabel(status)}`).join(" · "));
    bar.value = batch.progress;
    const ends = batch.estimatedCompletionAt && t("the last one about {clock}", { clock: clock(batch.estimatedCompletionAt) });
    say(facts, [t("{count} jobs", { count: batch.total }), money(batch.status === "completed" ? batch.creditsDeducted : batch.estimatedCostCents), ends].filter(Boolean).join(" · "));
    show(cancel, batch.status !== "completed");
  }

  function fail(error) {
    if (signal.aborted || error.status === 401) return;
    say(problem, error.status === 404 ? t("There is no such batch.") : t(error.message));
    show(problem, true);
  }

  async function follow() {
    try {
      for await (const batch of watchBatch(id, { apiKey: session.key, signal })) {
        tell(batch);
        await list();
      }
    } catch (error) {
      fail(error);
    }
  }

  async function order() {
    try {
      tell(await session.watched(cancelBatch(id, { apiKey: session.key })));
    } catch (error) {
      fail(error);
    }
  }

  /** With the lines' numbers in the table. */
  async function list() {
    const { data } = await session.call(`/api/batches/${id}/results`);
    if (signal.aborted) return;
    const line = (result) => h("a", { href: `#/jobs/${result.jobId}` }, `${result.model}: ${statusLabel(result.status)}`);
    jobs.replaceChildren(...data.map((result, position) => h("li", { value: position + 2 }, line(result))));
  }

  follow();
  const buttons = h("div", { class: "buttons" }, cancel, h("a", { class: "button", href: "#/gallery" }, t("Gallery")));
  return { element: h("article", { class: "card fields" }, h("h1", {}, t("Batch")), state, bar, facts, problem, buttons, jobs), title: t("Batch") };
}
