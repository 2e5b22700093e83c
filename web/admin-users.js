/** Who there is: users with their credits, budget and keys, and what an operator can do about each. */

import { h, say, show } from "./dom.js";
import { orderButton } from "./list.js";
import { toast } from "./notices.js";
import { moment, money } from "./format.js";

export function usersView({ session, signal, query }) {
  const list = h("ol", { class: "deliveries users" });
  const empty = h("p", { class: "empty", hidden: true });
  const more = h("button", { type: "button", hidden: true, onclick: () => read(true) }, "Show older ones");
  const name = h("input", { id: "user", type: "search", placeholder: "Name, id or e-mail address", value: query.get("user") ?? "", spellcheck: "false" });
  let next = null;

  async function read(isMore = false) {
    const wanted = { user: name.value.trim(), after: isMore ? next : "", limit: "50" };
    const filter = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
    try {
      const page = await session.call(`/api/admin/users?${filter}`);
      if (signal.aborted) return;
      if (!isMore) list.replaceChildren();
      list.append(...page.data.map((user) => row(user, session)));
      next = page.nextCursor;
      show(more, page.hasMore);
      say(empty, "There is no such user.");
    } catch (error) {
      if (signal.aborted) return;
      list.replaceChildren();
      show(more, false);
      say(empty, error.message);
    }
    show(empty, !list.childElementCount);
  }

  read();
  return h(
    "div",
    {},
    h("h1", {}, "Users"),
    h(
      "form",
      { class: "search one", role: "search", onsubmit: (event) => { event.preventDefault(); read(); } },
      field("User", name),
      h("button", {}, "Look"),
    ),
    empty,
    list,
    more,
  );
}

function field(label, input) {
  return h("div", { class: "field" }, h("label", { for: input.id }, label), input);
}

function row(user, session) {
  const place = h("li");
  const draw = (current, isOpen) => {
    const inside = h("div", { class: "inside" });
    const details = h("details", { open: isOpen }, summary(current), inside);
    const act = async (verb, body) => draw(await post(session, `users/${current.id}/${verb}`, body), true);
    const fill = () => inside.childElementCount || inside.append(...contents(current, session, act));
    details.addEventListener("toggle", () => details.open && fill());
    if (isOpen) fill();
    place.replaceChildren(details);
  };
  draw(user, false);
  return place;
}

function post(session, path, body) {
  return session.call(`/api/admin/${path}`, { method: "POST", body });
}

function summary(user) {
  const budget = user.monthlyBudgetCents === null ? "no monthly limit" : `${money(user.monthlyBudgetCents)} a month`;
  return h(
    "summary",
    {},
    h("strong", { class: user.disabledAt ? "verdict bad" : "verdict" }, user.disabledAt ? "disabled" : "active"),
    h("span", { class: "what" }, user.email ?? user.name),
    h("span", { class: "number" }, `${money(user.availableCents)} available`),
    h("span", {}, budget),
    h("span", { class: "hint" }, `${user.keys} ${user.keys === 1 ? "key" : "keys"}, ${user.jobs} ${user.jobs === 1 ? "job" : "jobs"}`),
  );
}

function contents(user, session, act) {
  const facts = { Id: user.id, Name: user.name, "Made": moment(user.createdAt), "Last job": user.lastJobAt ? moment(user.lastJobAt) : "none", Held: money(user.heldCents) };
  const budget = h("input", { id: `budget-${user.id}`, inputmode: "numeric", pattern: "[0-9]*", value: user.monthlyBudgetCents ?? "" });
  const setBudget = () => act("budget", { monthlyBudgetCents: budget.value.trim() ? Number(budget.value) : null });
  const keyBudget = h("input", { id: `key-budget-${user.id}`, inputmode: "numeric", pattern: "[0-9]*" });
  const keys = h("ul", { class: "keys" });
  const readKeys = async () => {
    const page = await session.call(`/api/admin/keys?limit=100&user=${user.id}`);
    keys.replaceChildren(...page.data.map((key) => keyRow(key, session, readKeys)));
  };
  const secret = h("code", { class: "secret", hidden: true });
  const makeKey = async () => {
    const budgetCents = keyBudget.value.trim() ? Number(keyBudget.value) : null;
    say(secret, (await post(session, "keys", { user: user.id, budgetCents })).key);
    show(secret, true);
    toast("This key is shown once: copy it now.");
    await readKeys();
  };
  readKeys().catch(() => {});
  return [
    h("dl", { class: "facts" }, ...Object.entries(facts).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    h("div", { class: "one-line" }, field("Monthly budget in cents; empty for no limit", budget), orderButton("Set the budget", setBudget, user.name)),
    h(
      "div",
      { class: "buttons" },
      user.disabledAt ? orderButton("Enable", () => act("enable"), user.name) : orderButton("Disable", () => act("disable"), user.name),
      orderButton("Sign out", () => act("sign-out"), user.name),
    ),
    h("div", { class: "one-line" }, field("Budget of a new key in cents; empty for none of its own", keyBudget), orderButton("New key", makeKey, user.name)),
    secret,
    h("h2", {}, "Keys"),
    keys,
  ];
}

function keyRow(key, session, readKeys) {
  const revoke = async () => {
    await post(session, `keys/${key.prefix}/revoke`);
    await readKeys();
  };
  const state = key.revokedAt ? `revoked ${moment(key.revokedAt)}` : key.expiresAt ? `until ${moment(key.expiresAt)}` : "until revoked";
  const budget = key.budgetCents === null ? "" : `, ${money(key.spentCents)} of ${money(key.budgetCents)} spent, ${money(key.leftCents)} left`;
  return h("li", {}, h("code", {}, key.prefix), ` ${key.scope}, ${state}${budget} `, key.revokedAt ? null : orderButton("Revoke", revoke, key.prefix));
}
