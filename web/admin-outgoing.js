/** For operators: whose backends do not take what they are sent, and how much waits. */

import { h, say, show } from "./dom.js";
import { ago } from "./format.js";

export function outgoingView({ session, signal }) {
  const sums = h("p", { class: "hint" });
  const body = h("tbody", {});
  const head = h("tr", {}, ...["User", "Address", "Status", "Since", "Waiting"].map((name) => h("th", { scope: "col" }, name)));
  const table = h("div", { class: "scrolling", tabindex: 0, hidden: true }, h("table", {}, h("thead", {}, head), body));
  const empty = h("p", { class: "empty", hidden: true });

  async function read() {
    try {
      const now = await session.call("/api/admin/webhook-endpoints");
      if (signal.aborted) return;
      say(sums, `${now.waiting} wait, the oldest for ${now.oldestDueSeconds.toFixed(0)} s. ${now.failing} endpoints fail, ${now.disabled} were disabled for it.`);
      body.replaceChildren(...now.data.map(row));
      say(empty, "Every endpoint takes what it is sent.");
      show(empty, now.data.length === 0);
      show(table, now.data.length > 0);
    } catch (error) {
      if (signal.aborted) return;
      say(empty, error.message);
      show(empty, true);
    }
  }

  read();
  return h("div", {}, h("h1", {}, "Outgoing webhooks"), sums, empty, table);
}

function row(endpoint) {
  const since = endpoint.failingSince ?? endpoint.disabledAt;
  const status = endpoint.disabledReason ? `${endpoint.status}: ${endpoint.disabledReason}` : "failing";
  return h(
    "tr",
    {},
    h("td", {}, endpoint.user),
    h("td", { class: "address" }, endpoint.url),
    h("td", {}, status),
    h("td", {}, since ? ago(since) : ""),
    h("td", {}, String(endpoint.pending)),
  );
}
