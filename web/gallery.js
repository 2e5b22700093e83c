/** What is ready: videos, sounds, pictures and transcripts, newest first. */

import { h, icon, show } from "./dom.js";
import { player } from "./media.js";
import { t } from "./messages.js";
import { ago, kindLabel, kindOf, titleOf } from "./format.js";

const PAGE = 24;
const FILTERS = [
  ["", "Everything"],
  ["video", "Videos"],
  ["first_frame", "First frames"],
  ["voice_chatterbox", "Voices"],
  ["ambient_elevenlabs", "Sounds"],
  ["transcribe_whisper", "Transcripts"],
  ["other", "Other"],
];

export function galleryView({ session, jobs, signal }) {
  let type = "";
  let cursor = null;
  let turn = 0;
  const shown = new Set();
  const grid = h("ul", { class: "grid" });
  const empty = h("div", { class: "empty", hidden: true });
  const more = h("button", { type: "button", hidden: true, onclick: () => read() }, t("Show older ones"));
  const filters = FILTERS.map(([value, name]) => {
    const button = h("button", { type: "button", "aria-pressed": String(value === ""), onclick: () => choose(value, button) }, t(name));
    return button;
  });

  function choose(value, chosen) {
    type = value;
    cursor = null;
    shown.clear();
    grid.replaceChildren();
    for (const button of filters) button.setAttribute("aria-pressed", String(button === chosen));
    read();
  }

  async function read() {
    const mine = ++turn;
    const filter = new URLSearchParams({ status: "completed", limit: String(PAGE), ...(type && { type }), ...(cursor && { after: cursor }) });
    show(empty, false);
    try {
      const page = await session.call(`/api/jobs?${filter}`);
      if (mine !== turn) return;
      cursor = page.nextCursor;
      for (const job of page.data) add(job, false);
      show(more, page.hasMore);
      tell();
    } catch (error) {
      if (mine !== turn || error.status === 401) return;
      empty.replaceChildren(h("p", {}, t("The gallery cannot be read at the moment. {error}", { error: t(error.message) })), h("button", { type: "button", onclick: () => read() }, t("Try again")));
      show(empty, true);
    }
  }

  function add(job, isNew) {
    if (shown.has(job.id)) return;
    shown.add(job.id);
    const one = card(job, session);
    if (isNew) grid.prepend(one);
    else grid.append(one);
  }

  function tell() {
    show(empty, shown.size === 0);
    if (shown.size) return;
    empty.replaceChildren(h("h2", {}, t("Nothing to show yet")), h("p", {}, t("What you make is kept here once it is ready. ")), h("p", {}, h("a", { href: "#/" }, t("Create something"))));
  }

  function ended({ detail: job }) {
    if (job.status !== "completed" || (type && job.type !== type && !(type === "video" && kindOf(job) === "video"))) return;
    add(job, true);
    tell();
  }

  jobs.addEventListener("ended", ended, { signal });
  read();
  const element = h(
    "div",
    {},
    h("div", { class: "bar" }, h("h1", {}, t("Gallery")), h("div", { class: "filters", role: "group", "aria-label": t("Show") }, ...filters)),
    empty,
    grid,
    more,
  );
  return { element, title: t("Gallery") };
}

function card(job, session) {
  const media = player(job, session) ?? h("p", { class: "hint" }, t("No media"));
  if (media.querySelector("audio")) media.prepend(icon(kindOf(job)));
  return h(
    "li",
    { class: "piece", dataset: { kind: kindOf(job) } },
    media,
    h("a", { href: `#/jobs/${job.id}`, class: "title" }, titleOf(job).slice(0, 160)),
    h("p", { class: "hint" }, `${kindLabel(kindOf(job))} · ${ago(job.completedAt ?? job.createdAt)}`),
  );
}
