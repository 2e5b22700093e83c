/** The operators' page: an overview of how it goes, the users, who waits for a slot, and the log of webhooks. */

import { deliveriesView } from "./admin-deliveries.js";
import { h, icon, show } from "./dom.js";
import { bannerFor } from "./notices.js";
import { outgoingView } from "./admin-outgoing.js";
import { overview } from "./admin-overview.js";
import { Session, rememberedKey } from "./session.js";
import { signInView } from "./sign-in.js";
import { usersView } from "./admin-users.js";
import { waitingView } from "./admin-waiting.js";

const VIEWS = { "/": [overview, "Overview"], "/users": [usersView, "Users"], "/waiting": [waitingView, "Waiting"], "/deliveries": [deliveriesView, "Deliveries"], "/outgoing": [outgoingView, "Outgoing webhooks"] };

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const account = document.getElementById("account");

let session = null;
let leave = new AbortController();

function enter(key) {
  session = new Session(key);
  session.addEventListener("signedout", (event) => askForKey(event.detail), { once: true });
  const out = h("button", { class: "quiet", "aria-label": "Sign out", title: "Sign out" }, icon("out"));
  out.addEventListener("click", () => session.signOut());
  account.replaceChildren(h("a", { href: "./" }, "Create"), out);
  show(nav, true);
  route();
}

function askForKey(why) {
  session = null;
  leave.abort();
  show(nav, false);
  bannerFor("");
  account.replaceChildren();
  main.replaceChildren(signInView({ why, enter }));
}

function route(event) {
  if (!session) return;
  leave.abort();
  leave = new AbortController();
  const [path, query] = (location.hash.slice(1) || "/").split("?");
  for (const link of nav.children) {
    if (link.hash === `#${path}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const [view, title] = VIEWS[path] ?? [() => h("h1", {}, "There is no such page"), "Not found"];
  document.title = `${title} · Operators · Reelay`;
  main.replaceChildren(view({ session, signal: leave.signal, query: new URLSearchParams(query) }));
  scrollTo(0, 0);
  if (event) main.focus({ preventScroll: true });
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", (event) => {
  const linked = location.hash.startsWith("#key=") && rememberedKey();
  if (!linked) return route(event);
  session?.end.abort();
  enter(linked);
});

const key = rememberedKey();
if (key) enter(key);
else askForKey("");
