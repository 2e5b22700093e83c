/** Where the user's own backend is told of events, and what came of each delivery. */

import { h, say, show } from "./dom.js";
import { ago, moment } from "./format.js";
import { orderButton } from "./list.js";
import { t } from "./messages.js";
import { complain } from "./notices.js";

const ENDPOINTS = "/api/webhook-endpoints";
/** Milliseconds. */
const REFRESH = 3000;
const STATUS = { unverified: "Not tested yet", enabled: "Enabled", disabled: "Disabled" };
const REASONS = {
  requested: "You have disabled it.",
  gone: "It answered 410: it is gone.",
  failing: "It has failed for days.",
};
const STATES = { pending: "Waiting", delivered: "Delivered", failed: "Given up" };
const OUTCOMES = {
  timed_out: "no answer in time",
  not_connected: "no connection",
  not_allowed: "the address is not allowed",
  not_composed: "not sent, by a mistake of ours",
};

export function endpointsView({ session, signal }) {
  const list = h("ul", { class: "cards" });
  const empty = h("div", { class: "empty", hidden: true });
  const secret = h("div", { class: "secret notice", role: "status", hidden: true });
  const url = h("input", { id: "url", type: "url", required: true, placeholder: "https://example.com/hooks/reelay", maxlength: 2048 });
  const form = h(
    "form",
    { class: "one-line" },
    h("div", { class: "field" }, h("label", { for: "url" }, t("Address of your backend")), url),
    h("button", { class: "main" }, t("Add an endpoint")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const made = await session.call(ENDPOINTS, { method: "POST", body: { url: url.value } });
      url.value = "";
      tellSecret(secret, made.secret);
      await read();
    } catch (error) {
      complain(error);
    }
  });

  async function read() {
    try {
      const { data } = await session.call(ENDPOINTS);
      if (signal.aborted) return;
      list.replaceChildren(...data.map(card));
      empty.replaceChildren(h("h2", {}, t("No endpoints yet")), h("p", {}, t("An endpoint is an address of your backend that is told, by a signed request, how your jobs end.")));
      show(empty, data.length === 0);
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      empty.replaceChildren(h("p", {}, t(error.message)), h("button", { type: "button", onclick: read }, t("Try again")));
      show(empty, true);
    }
  }

  read();
  return { element: h("div", {}, h("h1", {}, t("Webhooks")), form, secret, empty, list), title: t("Webhooks") };
}

function card(endpoint) {
  return h(
    "li",
    { class: "card" },
    h("a", { class: "title address", href: `#/webhooks/${endpoint.id}` }, endpoint.url),
    h("p", { class: "hint" }, statusOf(endpoint)),
  );
}

function statusOf(endpoint) {
  const said = [t(STATUS[endpoint.status])];
  if (endpoint.disabledReason) said.push(t(REASONS[endpoint.disabledReason]));
  if (endpoint.failingSince) said.push(t("It has failed since {moment}.", { moment: moment(endpoint.failingSince) }));
  return said.join(" · ");
}

function tellSecret(element, secret) {
  element.replaceChildren(h("p", {}, t("This secret signs what is sent. It is shown this once:")), h("code", { tabindex: 0 }, secret));
  show(element, true);
}

export function endpointView({ session, id, signal }) {
  const path = `${ENDPOINTS}/${encodeURIComponent(id)}`;
  const status = h("p", { class: "hint" });
  const secret = h("div", { class: "secret notice", role: "status", hidden: true });
  const log = h("ol", { class: "deliveries outgoing" });
  const empty = h("p", { class: "empty", hidden: true });
  const more = h("button", { type: "button", hidden: true, onclick: () => readLog(true) }, t("Show older ones"));
  const state = h("select", { id: "state", onchange: () => readLog() }, h("option", { value: "" }, t("All")), ...Object.entries(STATES).map(([value, name]) => h("option", { value }, t(name))));
  const element = h("div", {}, h("p", { class: "hint" }, t("Reading…")));
  const buttons = h("p", { class: "buttons" });
  let next = null;
  let asked = 0;

  function showEndpoint(endpoint) {
    say(status, statusOf(endpoint));
    const isDisabled = endpoint.status === "disabled";
    const set = async () => showEndpoint(await session.call(path, { method: "PATCH", body: { status: isDisabled ? "enabled" : "disabled" } }));
    buttons.replaceChildren(orderButton(t("Send a test"), test), orderButton(t(isDisabled ? "Enable" : "Disable"), set), orderButton(t("New secret"), rotate), orderButton(t("Delete"), remove));
  }

  async function test() {
    await session.call(`${path}/test`, { method: "POST" });
    await readLog();
  }

  async function rotate() {
    const rotated = await session.call(`${path}/rotate-secret`, { method: "POST" });
    tellSecret(secret, rotated.secret);
  }

  async function remove() {
    if (!confirm(t("Delete this endpoint and what is known of its deliveries?"))) return;
    await session.call(path, { method: "DELETE" });
    location.hash = "#/webhooks";
  }

  async function readLog(isMore = false) {
    const mine = ++asked;
    const wanted = { state: state.value, after: isMore ? next : "", limit: "50" };
    const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
    try {
      const page = await session.call(`${path}/deliveries?${query}`);
      if (signal.aborted || mine !== asked) return;
      if (!isMore) log.replaceChildren();
      log.append(...page.data.map((delivery) => row(delivery, session, path)));
      next = page.nextCursor;
      show(more, page.hasMore);
      say(empty, t("Nothing was sent that fits."));
      // While something waits, its answer is seldom far; what is being read is left alone.
      const isRead = isMore || log.querySelector("details[open]");
      if (!isRead && page.data.some((delivery) => delivery.state === "pending")) setTimeout(refresh, REFRESH, mine);
    } catch (error) {
      if (signal.aborted) return;
      say(empty, t(error.message));
    }
    show(empty, !log.childElementCount);
  }

  function refresh(mine) {
    if (!signal.aborted && mine === asked && !log.querySelector("details[open]")) readLog();
  }

  async function read() {
    let endpoint;
    try {
      endpoint = await session.call(path);
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      const text = [404, 422].includes(error.status) ? t("There is no such endpoint, or it is not yours.") : t(error.message);
      element.replaceChildren(h("h1", {}, t("Not found")), h("p", {}, text), h("p", {}, h("a", { href: "#/webhooks" }, t("All endpoints"))));
      return;
    }
    if (signal.aborted) return;
    showEndpoint(endpoint);
    element.replaceChildren(
      h("p", { class: "crumb" }, h("a", { href: "#/webhooks" }, t("All endpoints"))),
      h("h1", { class: "address" }, endpoint.url),
      status,
      buttons,
      secret,
      h("h2", {}, t("Deliveries")),
      h("div", { class: "field narrow" }, h("label", { for: "state" }, t("Show")), state),
      empty,
      log,
      more,
    );
    await readLog();
  }

  read();
  return { element, title: t("Webhooks") };
}

function row(delivery, session, path) {
  const state = h("strong", {});
  const next = h("span", { class: "hint what" });
  const inside = h("div", { class: "inside" });
  const update = (now) => {
    delivery = now;
    say(state, t(STATES[now.state]));
    state.className = now.state === "failed" ? "verdict bad" : "verdict";
    const isLater = now.nextTryAt && Date.parse(now.nextTryAt) > Date.now();
    say(next, isLater ? t("next at {moment}", { moment: moment(now.nextTryAt) }) : "");
  };
  update(delivery);
  const last = delivery.attempts.at(-1);
  const summary = h(
    "summary",
    {},
    state,
    h("span", {}, delivery.type),
    h("time", { datetime: delivery.createdAt, title: moment(delivery.createdAt) }, ago(delivery.createdAt)),
    h("span", { class: "number" }, last ? answerOf(last) : ""),
    next,
  );
  const details = h("details", {}, summary, inside);
  const again = async () => update(await session.call(`${path}/deliveries/${delivery.id}/redeliver`, { method: "POST" }));
  details.addEventListener("toggle", () => {
    if (!details.open || inside.childElementCount) return;
    inside.append(
      delivery.jobId ? h("p", {}, h("a", { href: `#/jobs/${delivery.jobId}` }, t("Its job"))) : h("p", { class: "hint" }, delivery.eventId),
      h("ol", { class: "attempts" }, ...delivery.attempts.map(attempt)),
      orderButton(t("Send again"), again, moment(delivery.createdAt)),
    );
  });
  return h("li", {}, details);
}

function attempt(each) {
  return h(
    "li",
    {},
    h("p", {}, h("time", { datetime: each.at }, moment(each.at)), ` · ${answerOf(each)} · ${each.tookMs} ms`),
    each.error ? h("p", { class: "hint" }, each.error) : null,
    each.body ? h("pre", { tabindex: 0 }, each.body) : null,
  );
}

function answerOf(each) {
  return each.statusCode ? String(each.statusCode) : t(OUTCOMES[each.outcome] ?? each.outcome);
}
