/** The log of inbound webhooks: what came, what was made of it, and once more, please. */

import { h, say, show } from "./dom.js";
import { orderButton } from "./list.js";
import { toast } from "./notices.js";
import { bytes, moment } from "./format.js";

const VERDICTS = ["", "accepted", "duplicate", "deferred", "ignored", "running", "mismatch", "forged", "stale", "wrong_token", "malformed", "ambiguous", "unknown", "unverifiable", "unavailable"];
const PROVIDERS = ["", "fal", "replicate", "studio"];
const GOOD = new Set(["accepted", "duplicate", "running", "ignored"]);

export function deliveriesView({ session, signal, query }) {
  const log = h("ol", { class: "deliveries" });
  const empty = h("p", { class: "empty", hidden: true });
  const more = h("button", { type: "button", hidden: true, onclick: () => read(true) }, "Show older ones");
  const verdict = choice("verdict", VERDICTS, "Any verdict");
  const provider = choice("provider", PROVIDERS, "Any provider");
  const job = h("input", { id: "job", type: "search", placeholder: "Job id", value: query.get("jobId") ?? "", spellcheck: "false" });
  let next = null;
  let asked = 0;

  async function read(isMore = false) {
    const mine = ++asked;
    const wanted = { verdict: verdict.value, provider: provider.value, jobId: job.value.trim(), after: isMore ? next : "", limit: "50" };
    const filter = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
    try {
      const page = await session.call(`/api/admin/webhooks?${filter}`);
      if (signal.aborted || mine !== asked) return;
      if (!isMore) log.replaceChildren();
      log.append(...page.data.map((delivery) => row(delivery, session)));
      next = page.nextCursor;
      show(more, page.hasMore);
      say(empty, "No webhook was received that fits.");
    } catch (error) {
      if (signal.aborted) return;
      log.replaceChildren();
      show(more, false);
      say(empty, error.status === 422 ? "A job id looks like 0198f6a0-0000-7000-8000-000000000000." : error.message);
    }
    show(empty, !log.childElementCount);
  }

  for (const field of [verdict, provider, job]) field.addEventListener("change", () => read());
  read();
  return h(
    "div",
    {},
    h("h1", {}, "Deliveries"),
    h("p", { class: "hint" }, "Webhooks as they came in, newest first, without the headers that hold secrets. What was proved to come from its provider can be replayed."),
    h(
      "form",
      { class: "search", role: "search", onsubmit: (event) => { event.preventDefault(); read(); } },
      field("Verdict", verdict),
      field("Provider", provider),
      field("Job", job),
      h("button", {}, "Look"),
    ),
    empty,
    log,
    more,
  );
}

function choice(id, values, any) {
  return h("select", { id }, ...values.map((value) => h("option", { value }, value || any)));
}

function field(name, input) {
  return h("div", { class: "field" }, h("label", { for: input.id }, name), input);
}

function row(delivery, session) {
  const verdict = h("strong", { class: GOOD.has(delivery.verdict) ? "verdict" : "verdict bad" }, delivery.verdict);
  const inside = h("div", { class: "inside" });
  const details = h(
    "details",
    {},
    h(
      "summary",
      {},
      verdict,
      h("span", {}, delivery.provider),
      h("time", { datetime: delivery.receivedAt }, moment(delivery.receivedAt)),
      h("span", { class: "number" }, `${delivery.statusCode} in ${delivery.tookMs.toFixed(0)} ms`),
      h("span", { class: "hint what" }, delivery.detail || (delivery.nextTryAt ? "in the inbox" : "")),
    ),
    inside,
  );
  details.addEventListener("toggle", () => details.open && !inside.childElementCount && inside.append(...contents(delivery, session, verdict)));
  return h("li", {}, details);
}

function contents(delivery, session, verdict) {
  const facts = {
    Job: delivery.jobId,
    Attempt: delivery.attempt,
    Request: delivery.requestId,
    "In the inbox until": delivery.nextTryAt && moment(delivery.nextTryAt),
    "Handed over": delivery.handedOverAt && moment(delivery.handedOverAt),
    Verified: delivery.verified ? "yes" : "no: it was not proved to come from the provider",
    ...delivery.headers,
  };
  const known = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined);
  const replay = async () => {
    const { verdict: word, detail } = await session.call(`/api/admin/webhooks/${delivery.id}/replay`, { method: "POST" });
    say(verdict, word);
    verdict.className = GOOD.has(word) ? "verdict" : "verdict bad";
    toast(`Replayed: ${word}. ${detail}`);
  };
  const shown = delivery.body.length < delivery.bodyBytes ? `Body, the beginning of ${bytes(delivery.bodyBytes)}` : `Body, ${bytes(delivery.bodyBytes)}`;
  return [
    h("dl", { class: "facts" }, ...known.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])),
    h("h2", {}, shown),
    h("pre", { tabindex: 0 }, pretty(delivery.body)),
    delivery.verified ? orderButton("Replay", replay, `delivery of ${moment(delivery.receivedAt)}`) : null,
  ].filter(Boolean);
}

function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body; // cut off, or no JSON
  }
}
