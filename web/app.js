/** The page: who is signed in, which view is shown. */

import { batchView, newBatchView } from "./batch.js";
import { campaignView, campaignsView } from "./campaigns.js";
import { createView } from "./create.js";
import { h, icon, say, show } from "./dom.js";
import { galleryView } from "./gallery.js";
import { jobView } from "./job.js";
import { Jobs } from "./jobs.js";
import { t } from "./messages.js";
import { bannerFor, complain, notificationButton, tellEnd } from "./notices.js";
import { pipelineView, pipelinesView, produceCampaignView, produceView } from "./pipelines.js";
import { Session, rememberedKey } from "./session.js";
import { signInView } from "./sign-in.js";
import { endpointView, endpointsView } from "./webhooks.js";
import { money } from "./format.js";

/** What a view gets: the session, the jobs, the address's rest, and a signal that is aborted when it is left. */
const VIEWS = [
  [/^\/$/, createView],
  [/^\/gallery$/, galleryView],
  [/^\/jobs\/([\w-]+)$/, jobView],
  [/^\/batch$/, newBatchView],
  [/^\/batches\/([\w-]+)$/, batchView],
  [/^\/campaigns$/, campaignsView],
  [/^\/campaigns\/([\w-]+)$/, campaignView],
  [/^\/campaigns\/([\w-]+)\/produce$/, produceCampaignView],
  [/^\/pipelines$/, pipelinesView],
  [/^\/pipelines\/([\w-]+)$/, pipelineView],
  [/^\/produce$/, produceView],
  [/^\/webhooks$/, endpointsView],
  [/^\/webhooks\/([\w-]+)$/, endpointView],
];

for (const element of document.querySelectorAll("[data-text]")) say(element, t(element.textContent));

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const account = document.getElementById("account");

nav.setAttribute("aria-label", t("Main"));

let signedIn = null;
let leave = new AbortController();

function enter(key) {
  const session = new Session(key);
  const jobs = new Jobs(session);
  session.addEventListener("signedout", (event) => askForKey(event.detail), { once: true });
  jobs.addEventListener("state", (event) => bannerFor(event.detail));
  jobs.addEventListener("stopped", (event) => complain(event.detail));
  jobs.addEventListener("ended", (event) => tellEnd(event.detail));
  signedIn = { session, jobs };
  showAccount(session, jobs);
  jobs.start();
  route();
}

function askForKey(why) {
  signedIn = null;
  leave.abort();
  show(nav, false);
  bannerFor("");
  account.replaceChildren();
  place(signInView({ why, enter }), t("Sign in"));
}

function showAccount(session, jobs) {
  show(nav, true);
  const credits = h("span", { id: "credits", title: t("Credits that are free to spend"), hidden: true });
  const out = h("button", { class: "quiet", "aria-label": t("Sign out"), title: t("Sign out") }, icon("out"));
  out.addEventListener("click", () => session.signOut());
  account.replaceChildren(...[credits, notificationButton(), out].filter(Boolean));
  const read = async () => {
    try {
      const { availableCents, unmetered } = await session.call("/api/credits");
      credits.replaceChildren(money(availableCents), h("span", { class: "wide" }, t(" available")));
      show(credits, !unmetered);
    } catch {
      show(credits, false); // the service is away: the banner tells
    }
  };
  read();
  jobs.addEventListener("ended", read);
  session.addEventListener("spent", read);
}

function route(event) {
  if (!signedIn) return;
  const [path, query] = (location.hash.slice(1) || "/").split("?");
  const found = VIEWS.map(([pattern, view]) => [pattern.exec(path), view]).find(([match]) => match);
  leave.abort();
  leave = new AbortController();
  for (const link of nav.children) {
    const is = path === "/" ? link.hash === "#/" : link.hash !== "#/" && path.startsWith(link.hash.slice(1));
    if (is) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!found) return place(h("h1", {}, t("There is no such page")), t("Not found"));
  const [match, view] = found;
  const { element, title } = view({
    ...signedIn,
    id: match[1],
    query: new URLSearchParams(query),
    signal: leave.signal,
  });
  place(element, title);
  if (event) main.focus({ preventScroll: true });
}

function place(element, title) {
  document.title = `${title} · Reelay`;
  main.replaceChildren(element);
  scrollTo(0, 0);
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", (event) => {
  const linked = location.hash.startsWith("#key=") && rememberedKey();
  if (linked) {
    signedIn?.session.end.abort();
    enter(linked);
  } else {
    route(event);
  }
});

const key = rememberedKey();
if (key) enter(key);
else askForKey("");
