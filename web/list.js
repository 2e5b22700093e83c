/** The list of jobs, moving live. */

import { h, say, show } from "./dom.js";
import { thumbnail } from "./media.js";
import { t } from "./messages.js";
import { complain } from "./notices.js";
import { FINAL } from "./reelay.js";
import { ago, kindLabel, kindOf, money, stateLabel, timeLeft, titleOf } from "./format.js";

const FILTERS = {
  all: () => true,
  active: (job) => !FINAL.has(job.status),
  ready: (job) => job.status === "completed",
  failed: (job) => job.status === "failed" || job.status === "canceled",
};
const NAMES = { all: "All", active: "Under way", ready: "Ready", failed: "Failed" };

export function jobList({ jobs, signal }) {
  let filter = "all";
  const rows = new Map();
  const list = h("ol", { class: "rows" });
  const empty = h("div", { class: "empty" });
  const more = h("button", { type: "button", hidden: true, onclick: () => jobs.list() }, t("Show older ones"));
  const filters = Object.keys(FILTERS).map((name) => {
    const choose = () => {
      filter = name;
      for (const button of filters) button.setAttribute("aria-pressed", String(button === choosing));
      arrange();
    };
    const choosing = h("button", { type: "button", "aria-pressed": String(name === "all"), onclick: choose }, t(NAMES[name]));
    return choosing;
  });

  function rowOf(job) {
    if (!rows.has(job.id)) rows.set(job.id, new Row(job, jobs));
    const row = rows.get(job.id);
    row.update(job);
    return row;
  }

  /** All of it: when the filter or the page changes. */
  function arrange() {
    const shown = jobs.all().filter(FILTERS[filter]);
    list.replaceChildren(...shown.map((job) => rowOf(job).element));
    afterwards(shown.length);
  }

  /** One job: its own row alone is touched. */
  function move(job) {
    const row = rowOf(job);
    const isShown = FILTERS[filter](job);
    if (!isShown) row.element.remove();
    else if (!row.element.isConnected || !list.contains(row.element)) insert(row.element, job);
    afterwards(list.children.length);
  }

  function insert(element, job) {
    const older = [...list.children].find((other) => other.dataset.createdAt < job.createdAt);
    list.insertBefore(element, older ?? null);
  }

  function afterwards(count) {
    show(more, jobs.hasMore);
    show(list, count > 0);
    show(empty, count === 0);
    if (count) return;
    if (!jobs.isListed) empty.replaceChildren(h("p", {}, t("Reading your generations…")));
    else if (filter === "all") empty.replaceChildren(...NOTHING_YET());
    else empty.replaceChildren(h("p", {}, jobs.hasMore ? t("None of these among the newest {count}.", { count: jobs.known.size }) : t("None of these.")));
  }

  jobs.addEventListener("listed", arrange, { signal });
  jobs.addEventListener("changed", (event) => move(event.detail), { signal });
  jobs.addEventListener("tick", () => jobs.active().forEach((job) => rows.get(job.id)?.tick()), { signal });
  arrange();
  return h(
    "div",
    {},
    h("div", { class: "bar" }, h("h2", { id: "jobs-title" }, t("Your generations")), h("div", { class: "filters", role: "group", "aria-label": t("Show") }, ...filters)),
    empty,
    list,
    more,
  );
}

const NOTHING_YET = () => [
  h("h3", {}, t("Nothing here yet")),
  h("p", {}, t("Write what you want to see or hear, and generate. It appears here at once and stays under way even if you close this page.")),
];

class Row {
  constructor(job, jobs) {
    this.title = h("a", { class: "title", href: `#/jobs/${job.id}` }, titleOf(job).slice(0, 200));
    this.state = h("span", { class: "state" });
    this.left = h("span", { class: "left" });
    this.meta = h("span", { class: "meta" });
    this.bar = progressBar();
    this.thumb = thumbnail(job);
    this.cancel = orderButton(t("Cancel"), () => jobs.order(job.id, "cancel"), titleOf(job));
    this.retry = orderButton(t("Retry"), () => jobs.order(job.id, "retry"), titleOf(job));
    this.element = h(
      "li",
      { class: "row", dataset: { createdAt: job.createdAt, id: job.id } },
      this.thumb,
      h("div", { class: "about" }, this.title, h("p", { class: "line" }, this.state, this.left, this.meta), this.bar.element),
      this.cancel,
      this.retry,
    );
  }

  update(job) {
    this.job = job;
    const isActive = !FINAL.has(job.status);
    if (this.element.dataset.status !== job.status) {
      const hadFocus = document.activeElement === this.cancel;
      this.element.dataset.status = job.status;
      show(this.cancel, isActive);
      show(this.retry, job.status === "failed" || job.status === "canceled");
      if (hadFocus && !isActive) (this.retry.hidden ? this.title : this.retry).focus();
      show(this.bar.element, isActive);
      const thumb = thumbnail(job);
      this.thumb.replaceWith(thumb);
      this.thumb = thumb;
    }
    const state = stateLabel(job);
    say(this.state, job.status === "failed" && job.errorMessage ? t("{name}: {text}", { name: state, text: job.errorMessage }) : state);
    say(this.meta, [kindLabel(kindOf(job)), ago(job.createdAt), money(job.actualCostCents ?? job.estimatedCostCents)].join(" · "));
    this.bar.set(job);
    this.tick();
  }

  tick() {
    say(this.left, FINAL.has(this.job.status) ? "" : timeLeft(this.job));
  }
}

export function progressBar() {
  const fill = h("span", { class: "fill" });
  const element = h("div", { class: "progress", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": t("Progress") }, fill);
  const set = (job) => {
    element.setAttribute("aria-valuenow", String(job.progress));
    element.setAttribute("aria-valuetext", t("{progress} percent, {state}", { progress: job.progress, state: stateLabel(job) }));
    fill.style.transform = `scaleX(${job.progress / 100})`;
  };
  return { element, set };
}

/** @param {string} name @param {() => Promise<unknown>} order */
export function orderButton(name, order, about = "") {
  const button = h("button", { type: "button", class: "order" }, name);
  if (about) button.setAttribute("aria-label", t("{name}: {text}", { name, text: about.slice(0, 80) }));
  let isUnderWay = false;
  // Not disabled meanwhile: a disabled button loses the keyboard's place.
  const setUnderWay = (is) => button.setAttribute("aria-disabled", String((isUnderWay = is)));
  button.addEventListener("click", async () => {
    if (isUnderWay) return;
    setUnderWay(true);
    try {
      await order();
    } catch (error) {
      complain(error);
    } finally {
      setUnderWay(false);
    }
  });
  return button;
}
