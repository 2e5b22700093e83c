/** How it goes: what needs a hand first, then the figures and their course. */

import { barChart, lineChart } from "./charts.js";
import { h, say } from "./dom.js";
import { orderButton } from "./list.js";
import { bannerFor, toast } from "./notices.js";
import { ago, clock, duration, label, moment, money } from "./format.js";

/** How long to wait before the figures are read again: a week of them is more work. */
const WINDOWS = { "1h": ["1 hour", 15_000], "24h": ["24 hours", 30_000], "7d": ["7 days", 120_000] };
/** Of each kind; the others unfold. */
const NEEDS_SHOWN = 3;
const NEEDS = {
  not_started: "Not started",
  external: "Written by another backend",
  account_parked: "Account locked",
  uncertain: "Answer lost",
  archive_stuck: "Not archived",
  overdue: "Overdue",
  unknown_outcome: "Unknown outcome",
  provider_unauthorized: "Key refused",
  archive_failed: "Archive failed",
  internal_error: "A mistake of the service",
  run_stopped: "Run stopped",
};
/** What passes by itself is shown, and is no alarm. */
const PASSING = new Set(["uncertain"]);
const FAILED = 'WorkflowType="Generation" AND ExecutionStatus="Failed"';
/** In the Temporal UI; empty when nobody said where that is. */
const RUNS = document.querySelector('meta[name="reelay-runs"]').content;
const FAILED_RUNS = `${RUNS.replace("/generation-", "")}?query=${encodeURIComponent(FAILED)}`;
/** What is made of a webhook, in four kinds; the rest are refusals. */
const KINDS = { accepted: "accepted", duplicate: "repeated", running: "repeated", ignored: "repeated", deferred: "kept" };

export function overview({ session, signal, query }) {
  return new Overview(session, signal, WINDOWS[query.get("window")] ? query.get("window") : "24h").element;
}

class Overview {
  constructor(session, signal, name) {
    Object.assign(this, { session, signal, name, timer: 0, isWhole: false, isCodecOpen: false });
    this.title = h("h1", {}, "Reading the figures…");
    this.line = h("p", { class: "hint" });
    this.body = h("div", { class: "overview" });
    this.choices = Object.entries(WINDOWS).map(([each, [caption]]) => this.choice(each, caption));
    const choices = h("div", { class: "filters", role: "group", "aria-label": "Window" }, ...this.choices);
    this.element = h("div", {}, h("div", { class: "bar" }, h("div", {}, this.title, this.line), choices), this.body);
    signal.addEventListener("abort", () => clearTimeout(this.timer));
    this.read();
  }

  choice(name, caption) {
    const choose = () => {
      this.name = name;
      history.replaceState(null, "", `#/?window=${name}`);
      for (const button of this.choices) button.setAttribute("aria-pressed", String(button === chosen));
      this.read();
    };
    const chosen = h("button", { type: "button", "aria-pressed": String(name === this.name), onclick: choose }, caption);
    return chosen;
  }

  async read() {
    clearTimeout(this.timer);
    const { name } = this;
    try {
      const figures = await this.session.call(`/api/admin/stats?window=${name}`);
      if (this.signal.aborted || name !== this.name) return;
      bannerFor("");
      this.showFigures(figures);
      this.openCodec();
    } catch (error) {
      if (this.signal.aborted || error.status === 401) return;
      if (error.status === 403) return this.refuse();
      bannerFor("away");
    }
    this.timer = setTimeout(() => this.read(), WINDOWS[name][1]);
  }

  /** From here on the Temporal UI can show, in this browser, what Temporal stores encrypted. */
  openCodec() {
    if (!RUNS || this.isCodecOpen) return;
    this.isCodecOpen = true;
    this.session.call("/api/admin/codec/session", { method: "POST" }).catch(() => (this.isCodecOpen = false));
  }

  refuse() {
    say(this.title, "For operators");
    say(this.line, "This key is a user's. Make one with: reelay keys create <user> --scope admin");
    this.body.replaceChildren(h("button", { type: "button", onclick: () => this.session.signOut() }, "Sign in with another key"));
  }

  showFigures(figures) {
    const alarms = alarmsIn(figures);
    say(this.title, alarms.length ? alarms.join(" · ") : "All is well");
    this.title.className = alarms.length ? "alarmed" : "";
    say(this.line, `Since ${moment(figures.since)} · read at ${clock(figures.until)}`);
    // Somebody who reads, or has opened something, is not disturbed by what has not changed.
    const open = new Set([...this.body.querySelectorAll("details[open]")].map((each) => each.dataset.name));
    const focused = document.activeElement?.dataset?.name;
    this.body.replaceChildren(
      tiles(figures),
      ...[this.needs(figures), this.parked(figures), drift(figures)].filter(Boolean),
      h("div", { class: "charts" }, outcomeChart(figures), webhookChart(figures), latencyChart(figures), failures(figures)),
      models(figures),
    );
    for (const each of this.body.querySelectorAll("details")) each.open = open.has(each.dataset.name);
    if (focused) this.body.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
  }

  needs({ needs }) {
    if (!needs.length) return null;
    const groups = new Map();
    for (const need of needs) groups.set(need.need, [...(groups.get(need.need) ?? []), need]);
    return h(
      "section",
      { class: "card", "aria-labelledby": "needs-title" },
      h("h2", { id: "needs-title" }, "Jobs needing a hand"),
      h("ol", { class: "needs" }, ...[...groups].map(([name, alike]) => needGroup(name, alike))),
    );
  }

  parked({ parkedAccounts }) {
    if (!parkedAccounts.length) return null;
    const resume = async (account) => {
      await this.session.call(`/api/admin/accounts/${account.provider}/resume`, { method: "POST" });
      toast(`${account.provider} takes submissions again. Jobs that wait notice within two pauses.`);
      await this.read();
    };
    const row = (account) =>
      h(
        "li",
        {},
        h("div", {}, h("strong", {}, account.provider), " ", h("code", {}, account.account)),
        h("p", {}, account.reason ?? ""),
        h("p", { class: "hint" }, `Parked ${ago(account.parkedSince)} · probed ${times(account.probes)} · next probe at ${clock(account.nextProbeAt)}`),
        orderButton("Resume", () => resume(account), account.provider),
      );
    return h("section", { class: "card" }, h("h2", {}, "Parked accounts"), h("ol", { class: "needs" }, ...parkedAccounts.map(row)));
  }
}

function alarmsIn({ needs, parkedAccounts, inbox, ledger }) {
  const pressing = needs.filter((each) => !PASSING.has(each.need)).length;
  return [
    pressing && `${pressing === 100 ? "100 or more" : pressing} ${pressing === 1 ? "job needs" : "jobs need"} a hand`,
    parkedAccounts.length && `${parkedAccounts.length === 1 ? "An account is" : `${parkedAccounts.length} accounts are`} parked`,
    inbox.oldestSeconds > 60 && `${inbox.waiting} webhooks wait`,
    ledger.drift.length && "The books do not balance",
  ].filter(Boolean);
}

function tiles({ outcomes, active, submissions, rescuedByPoll, webhooks, inbox, ledger }) {
  const total = (counts) => Object.values(counts).reduce((sum, each) => sum + each, 0);
  const rescued = total(rescuedByPoll);
  const under = total(active);
  return h(
    "dl",
    { class: "tiles" },
    tile("Success rate", percent(outcomes.successRate), `${count(outcomes.completed)} completed, ${count(outcomes.failed)} failed`, outcomes.successRate !== null && outcomes.successRate < 0.9),
    tile("Under way", count(under), Object.entries(active).map(([stage, jobs]) => `${count(jobs)} ${stage}`).join(", ") || "nothing is generated"),
    tile("Created", count(outcomes.created), `${count(outcomes.canceled)} canceled`),
    tile("Lost answers", count(submissions.doubted), `${count(submissions.adopted)} found again, ${count(submissions.uncertainNow)} looked for, ${count(submissions.unknownOutcome)} unknown`, submissions.unknownOutcome > 0),
    tile("Rescued by polling", count(rescued), Object.entries(rescuedByPoll).map(([name, jobs]) => `${count(jobs)} ${name}`).join(", ") || "no webhook was missed"),
    tile("Webhooks", count(webhooks.deliveries), `${count(inbox.waiting)} in the inbox${inbox.waiting ? `, the oldest for ${duration(inbox.oldestSeconds)}` : ""}`, inbox.oldestSeconds > 60),
    tile("Held credits", money(ledger.heldCents), `${money(ledger.availableCents)} available`),
    tile("Ledger", ledger.drift.length ? `${ledger.drift.length} off` : "balances", ledger.auditedAt ? `looked at ${ago(ledger.auditedAt)}` : "not looked at yet", ledger.drift.length > 0),
  );
}

function tile(name, value, detail, isBad = false) {
  return h("div", { class: isBad ? "tile bad" : "tile" }, h("dt", {}, name), h("dd", { class: "value" }, value), h("dd", { class: "hint" }, detail));
}

/** What is to be done is the same for all that need the same. */
function needGroup(name, alike) {
  const [{ advice, detail }] = alike;
  const isSame = alike.length > 1 && alike.every((each) => each.detail === detail);
  const rows = alike.map((need) => needRow(need, isSame ? "" : need.detail));
  const rest = rows.splice(NEEDS_SHOWN);
  return h(
    "li",
    { class: PASSING.has(name) ? "passing" : "" },
    h("h3", {}, NEEDS[name] ?? name, h("span", { class: "how-many" }, count(alike.length))),
    h("p", { class: "advice" }, advice),
    isSame && h("p", {}, detail),
    h("ul", {}, ...rows),
    rest.length ? h("details", { class: "more", dataset: { name } }, h("summary", {}, `${count(rest.length)} more`), h("ul", {}, ...rest)) : null,
  );
}

function needRow(need, detail) {
  const link = (name, href, options) => h("a", { href, dataset: { name: `${name}-${need.jobId}` }, "aria-label": `${name} of ${need.jobId}`, ...options }, name);
  return h(
    "li",
    {},
    h("p", { class: "need" }, h("a", { href: `/#/jobs/${need.jobId}` }, h("code", {}, need.jobId)), h("span", {}, `${need.model} at ${need.provider}, ${ago(need.since)}`)),
    detail && h("p", {}, detail),
    h(
      "p",
      { class: "hint links" },
      RUNS && link("Its run", RUNS + need.jobId, { target: "_blank", rel: "noopener" }),
      link("Its webhooks", `#/deliveries?jobId=${need.jobId}`),
      need.requestId && h("span", {}, "request ", h("code", {}, need.requestId)),
    ),
  );
}

function drift({ ledger }) {
  if (!ledger.drift.length) return null;
  const rows = ledger.drift.map((each) => [h("code", {}, each.userId), each.account, money(each.keptCents), money(each.countedCents)]);
  return h(
    "section",
    { class: "card" },
    h("h2", {}, "The books do not balance"),
    h("p", { class: "hint" }, "What an account says, and what its entries or living jobs say. No figure is corrected by itself: docs/operate.md says how to find out."),
    table(["User", "Account", "Kept", "Counted"], rows),
  );
}

function outcomeChart(figures) {
  const series = [
    { name: "completed", tone: "good", values: figures.slices.map((each) => each.completed) },
    { name: "canceled", tone: "dull", values: figures.slices.map((each) => each.canceled) },
    { name: "failed", tone: "bad", values: figures.slices.map((each) => each.failed) },
  ];
  return barChart({ title: "Generations that ended", times: figures.slices.map((each) => each.at), series, every: figures.sliceSeconds });
}

function webhookChart({ webhooks, sliceSeconds }) {
  const of = (kind) => webhooks.slices.map((each) => Object.entries(each.verdicts).reduce((sum, [verdict, deliveries]) => sum + ((KINDS[verdict] ?? "refused") === kind ? deliveries : 0), 0));
  const series = [
    { name: "accepted", tone: "good", values: of("accepted") },
    { name: "repeated", tone: "dull", values: of("repeated") },
    { name: "kept for later", tone: "warm", values: of("kept") },
    { name: "refused", tone: "bad", values: of("refused") },
  ];
  return barChart({ title: "Webhooks by verdict", times: webhooks.slices.map((each) => each.at), series, every: sliceSeconds });
}

function latencyChart({ webhooks, sliceSeconds }) {
  const series = [
    { name: "p50", tone: "good", values: webhooks.slices.map((each) => each.p50Ms) },
    { name: "p95", tone: "warm", values: webhooks.slices.map((each) => each.p95Ms) },
  ];
  return lineChart({ title: "Webhook until its verdict, in ms", times: webhooks.slices.map((each) => each.at), series, every: sliceSeconds, unit: "ms" });
}

function failures({ failures }) {
  const entries = Object.entries(failures);
  const most = Math.max(1, ...entries.map(([, jobs]) => jobs));
  const row = ([code, jobs]) =>
    h("li", {}, h("span", {}, label(code)), h("meter", { min: 0, max: most, value: jobs, "aria-label": label(code) }, String(jobs)), h("span", { class: "number" }, count(jobs)));
  return h(
    "section",
    { class: "card chart" },
    h("h2", {}, "Failures by reason"),
    entries.length ? h("ol", { class: "reasons" }, ...entries.map(row)) : h("p", { class: "hint nothing" }, "Nothing in this window."),
    RUNS && h("p", { class: "hint links" }, h("a", { href: FAILED_RUNS, target: "_blank", rel: "noopener", dataset: { name: "failed-runs" } }, "The runs that failed")),
  );
}

function models({ models }) {
  const seconds = (value) => (value === null ? "–" : duration(value));
  const rows = models.map((each) => [
    each.model,
    each.provider,
    count(each.completed),
    count(each.failed),
    percent(each.successRate),
    seconds(each.p50Seconds),
    seconds(each.p95Seconds),
  ]);
  return h(
    "section",
    { class: "card" },
    h("h2", {}, "Models"),
    rows.length
      ? table(["Model", "Provider", "Completed", "Failed", "Success", "p50", "p95"], rows)
      : h("p", { class: "hint" }, "Nothing ended in this window."),
  );
}

function table(names, rows) {
  return h(
    "div",
    { class: "scrolling", tabindex: 0, role: "region", "aria-label": names[0] },
    h("table", {}, h("thead", {}, h("tr", {}, ...names.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((cell) => h("td", {}, cell)))))),
  );
}

const count = (number) => new Intl.NumberFormat("en").format(number);
const percent = (share) => (share === null ? "–" : `${(share * 100).toFixed(share < 1 && share > 0.995 ? 2 : 1).replace(/\.0$/, "")} %`);
const times = (number) => (number === 1 ? "once" : `${number} times`);
