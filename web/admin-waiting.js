/**
 * For operators: who waits for a slot at which provider, in order, who is to go first, last or not yet, and what was
 * learned of the limits that are `auto`.
 */

import { h, say, show } from "./dom.js";
import { ago } from "./format.js";
import { orderButton } from "./list.js";

const SHOWN = 50;
const CHANGES_SHOWN = 10;
const COLUMNS = ["User", "Job", "Priority", "Since", "Order"];
const LESSONS = {
  begun: "where learning begins",
  queued: "the provider queued what it was sent",
  all_run: "jobs waited, and the provider ran all that it had",
};

export function waitingView({ session, signal }) {
  const lines = h("div", { class: "overview" });
  const empty = h("p", { class: "empty", hidden: true });

  async function read() {
    try {
      const { data } = await session.call("/api/admin/providers");
      const shown = data.filter(({ jobsWaiting, isLearned, slots, jobsQueuedThere }) => jobsWaiting || isLearned || (slots !== null && jobsQueuedThere));
      const sections = await Promise.all(shown.map(readProvider));
      if (signal.aborted) return;
      lines.replaceChildren(...sections);
      say(empty, "Nobody waits for a slot.");
      show(empty, !shown.length);
    } catch (error) {
      if (signal.aborted) return;
      say(empty, error.message);
      show(empty, true);
    }
  }

  async function readProvider(provider) {
    const path = `/api/admin/providers/${provider.provider}`;
    const waiting = await session.call(`${path}/waiting?limit=${SHOWN}`);
    const learned = provider.isLearned ? await session.call(`${path}/learned-limits?limit=${CHANGES_SHOWN}`) : { data: [] };
    return line(provider, waiting, learned.data, change);
  }

  async function change(job, verb, body) {
    await session.call(`/api/admin/jobs/${job.id}/${verb}`, { method: "POST", body });
    await read();
  }

  read();
  return h("div", {}, h("h1", {}, "Waiting"), empty, lines);
}

function line(provider, { total, data }, learned, change) {
  const slots = provider.slots === null ? "no limit" : `${provider.slots} slots`;
  const limit = provider.isLearned ? `auto, now ${slots}` : slots;
  const more = total > data.length ? `, of whom the first ${data.length} are shown` : "";
  const head = h("tr", {}, ...COLUMNS.map((name) => h("th", { scope: "col" }, name)));
  const title = `waiting-${provider.provider}`;
  return h(
    "section",
    { class: "card", "aria-labelledby": title },
    h("h2", { id: title }, provider.provider),
    h("p", { class: "hint" }, `${limit}, ${provider.jobsInSlots} jobs there. ${total} wait${more}.`),
    provider.jobsQueuedThere > 0 && h("p", { class: "hint" }, tooHigh(provider)),
    data.length > 0 && h("div", { class: "scrolling", tabindex: 0 }, h("table", {}, h("thead", {}, head), h("tbody", {}, ...data.map((job) => row(job, change))))),
    learned.length > 0 && h("p", { class: "hint" }, "The limit was learned:"),
    learned.length > 0 && h("ol", { class: "changes" }, ...learned.map(({ slots, lesson, at }) => h("li", {}, `${ago(at)}: ${slots}, ${LESSONS[lesson]}`))),
  );
}

function tooHigh({ jobsQueuedThere, isLearned }) {
  const seen = `${jobsQueuedThere} of the jobs there wait in the provider's own queue.`;
  return isLearned ? seen : `${seen} It seems to run fewer at once than the limit says: set a lower one, or auto.`;
}

function row(job, change) {
  const place = { front: "goes first", back: "goes last", line: "" }[job.place];
  const how = [job.priority, place, job.held && "held back"].filter(Boolean).join(", ");
  const button = (name, verb, body) => orderButton(name, () => change(job, verb, body), job.id);
  return h(
    "tr",
    {},
    h("td", {}, job.user),
    h("td", {}, h("a", { href: `/#/jobs/${job.id}` }, h("code", {}, job.id)), " ", job.model),
    h("td", {}, how),
    h("td", {}, ago(job.createdAt)),
    h(
      "td",
      { class: "buttons" },
      job.held ? button("Release", "release") : button("Hold", "hold"),
      job.place === "front" ? button("In line", "move", { place: "line" }) : button("First", "move", { place: "front" }),
      job.place === "back" ? button("In line", "move", { place: "line" }) : button("Last", "move", { place: "back" }),
    ),
  );
}
