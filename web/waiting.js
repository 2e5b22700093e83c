/** For operators: who waits for a slot at which provider, in order, and who is to go first, last or not yet. */

import { h, say, show } from "./dom.js";
import { ago } from "./format.js";
import { orderButton } from "./list.js";

const SHOWN = 50;
const COLUMNS = ["User", "Job", "Priority", "Since", "Order"];

export function waitingView({ session, signal }) {
  const lines = h("div", { class: "overview" });
  const empty = h("p", { class: "empty", hidden: true });

  async function read() {
    try {
      const { data } = await session.call("/api/admin/providers");
      const waitedFor = data.filter((provider) => provider.jobsWaiting);
      const found = await Promise.all(waitedFor.map(({ provider }) => session.call(`/api/admin/providers/${provider}/waiting?limit=${SHOWN}`)));
      if (signal.aborted) return;
      lines.replaceChildren(...waitedFor.map((provider, position) => line(provider, found[position], change)));
      say(empty, "Nobody waits for a slot.");
      show(empty, !waitedFor.length);
    } catch (error) {
      if (signal.aborted) return;
      say(empty, error.message);
      show(empty, true);
    }
  }

  async function change(job, verb, body) {
    await session.call(`/api/admin/jobs/${job.id}/${verb}`, { method: "POST", body });
    await read();
  }

  read();
  return h("div", {}, h("h1", {}, "Waiting"), empty, lines);
}

function line(provider, { total, data }, change) {
  const limit = provider.slots === null ? "no limit" : `${provider.slots} slots`;
  const more = total > data.length ? `, of whom the first ${data.length} are shown` : "";
  const head = h("tr", {}, ...COLUMNS.map((name) => h("th", { scope: "col" }, name)));
  const title = `waiting-${provider.provider}`;
  return h(
    "section",
    { class: "card", "aria-labelledby": title },
    h("h2", { id: title }, provider.provider),
    h("p", { class: "hint" }, `${limit}, ${provider.jobsInSlots} jobs there. ${total} wait${more}.`),
    h("div", { class: "scrolling", tabindex: 0 }, h("table", {}, h("thead", {}, head), h("tbody", {}, ...data.map((job) => row(job, change))))),
  );
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
