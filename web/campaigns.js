/** Campaigns and their clips: what each has got so far, and what to make next. */

import { h, show, say } from "./dom.js";
import { localAddress } from "./media.js";
import { t } from "./messages.js";
import { ago } from "./format.js";

const MAKE = [
  ["first-frame", "First frame"],
  ["video", "Video"],
  ["voice", "Voice"],
  ["ambient", "Sound"],
];

export function campaignsView({ session, signal }) {
  const list = h("ul", { class: "cards" });
  const empty = h("div", { class: "empty", hidden: true });
  const form = nameForm(t("Name of the campaign"), t("Make a campaign"), async (name) => {
    const campaign = await session.call("/api/campaigns", { method: "POST", body: { name } });
    location.hash = `#/campaigns/${campaign.id}`;
  });

  async function read() {
    try {
      const { data } = await session.call("/api/campaigns?limit=100");
      if (signal.aborted) return;
      list.replaceChildren(...data.map(campaignCard));
      empty.replaceChildren(h("h2", {}, t("No campaigns yet")), h("p", {}, t("A campaign holds clips; a clip collects a first frame, a video, a voice and a sound.")));
      show(empty, data.length === 0);
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      empty.replaceChildren(h("p", {}, t("The campaigns cannot be read at the moment. {error}", { error: t(error.message) })), h("button", { type: "button", onclick: read }, t("Try again")));
      show(empty, true);
    }
  }

  read();
  return { element: h("div", {}, h("h1", {}, t("Campaigns")), form, empty, list), title: t("Campaigns") };
}

function campaignCard(campaign) {
  const count = campaign.clipCount ?? campaign.clips?.length;
  const clips = count === undefined ? "" : t(count === 1 ? "{count} clip · " : "{count} clips · ", { count });
  return h("li", { class: "card" }, h("a", { class: "title", href: `#/campaigns/${campaign.id}` }, campaign.name), h("p", { class: "hint" }, t("{clips}made {ago}", { clips, ago: ago(campaign.createdAt) })));
}

export function campaignView({ session, jobs, id, signal }) {
  const element = h("div", {}, h("p", { class: "hint" }, t("Reading…")));

  async function read() {
    let campaign;
    try {
      campaign = await session.call(`/api/campaigns/${encodeURIComponent(id)}`);
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      const text = [404, 422].includes(error.status) ? t("There is no such campaign, or it is not yours.") : t(error.message);
      element.replaceChildren(h("h1", {}, t("Not found")), h("p", {}, text), h("p", {}, h("a", { href: "#/campaigns" }, t("All campaigns"))));
      return;
    }
    if (!signal.aborted) build(campaign);
  }

  function build(campaign) {
    document.title = `${campaign.name} · Reelay`;
    const clips = campaign.clips.map((clip) => clipCard(clip));
    const form = nameForm(t("Title of the clip"), t("Add a clip"), async (title) => {
      await session.call(`/api/campaigns/${campaign.id}/clips`, { method: "POST", body: { title, position: campaign.clips.length } });
      await read();
    });
    element.replaceChildren(
      h("p", { class: "crumb" }, h("a", { href: "#/campaigns" }, t("All campaigns"))),
      h("h1", {}, campaign.name),
      ...(clips.length ? [h("p", {}, h("a", { class: "button", href: `#/campaigns/${campaign.id}/produce` }, t("Make all films")))] : []),
      form,
      clips.length ? h("ul", { class: "grid" }, ...clips) : h("div", { class: "empty" }, h("h2", {}, t("No clips yet")), h("p", {}, t("Add one, then make its first frame, video, voice and sound."))),
    );
  }

  const endedHere = (event) => event.detail.status === "completed" && event.detail.clipId && read();
  jobs.addEventListener("ended", endedHere, { signal });
  read();
  return { element, title: t("Campaign") };
}

function clipCard(clip) {
  const got = { "first-frame": clip.firstFrame.image_url, video: clip.final.url ?? clip.video.raw_url, voice: clip.audio.voice_url, ambient: clip.audio.ambient_url };
  const title = clip.title || t("Untitled");
  const film = new URLSearchParams({ clip: clip.id, title });
  const make = MAKE.map(([kind, english]) => {
    const name = t(english);
    const where = new URLSearchParams({ kind, clip: clip.id, campaign: clip.campaignId, title });
    const text = got[kind] ? t("{kind} again", { kind: name }) : name;
    return h("a", { class: "button", href: `#/?${where}`, "aria-label": t("Make: {what}, for {title}", { what: text, title }) }, got[kind] ? `${name} ↻` : `+ ${name}`);
  });
  return h(
    "li",
    { class: "piece clip" },
    clipMedia(got, title),
    h("h2", { class: "title" }, title),
    h("p", { class: "hint" }, t(clip.status.replaceAll("_", " "))),
    h("div", { class: "buttons" }, ...make, h("a", { class: "button", href: `#/produce?${film}`, "aria-label": t("Make the film of {title}", { title }) }, t("Film"))),
  );
}

function clipMedia(got, title) {
  const media = [];
  const named = (kind) => t("{kind} of {title}", { kind: t(kind), title });
  const still = got["first-frame"] && localAddress(got["first-frame"]);
  if (got.video) media.push(source(h("video", { controls: true, preload: still ? "none" : "metadata", playsinline: true, "aria-label": named("Video") }), got.video, still));
  else if (still) media.push(source(h("img", { alt: named("First frame") }), got["first-frame"]));
  if (got.voice) media.push(h("span", { class: "hint" }, t("Voice")), source(h("audio", { controls: true, preload: "none", "aria-label": named("Voice") }), got.voice));
  if (got.ambient) media.push(h("span", { class: "hint" }, t("Sound")), source(h("audio", { controls: true, preload: "none", "aria-label": named("Sound") }), got.ambient));
  return h("div", { class: "media" }, ...(media.length ? media : [h("p", { class: "blank" }, t("Nothing yet"))]));
}

function source(element, url, poster) {
  const address = localAddress(url);
  if (!address) return element; // not archived here: nothing that the page may show
  if (poster) element.poster = poster;
  element.src = address;
  return element;
}

function nameForm(text, button, make) {
  const input = h("input", { type: "text", id: "name", required: true, maxlength: "200", autocomplete: "off", "aria-describedby": "name-error" });
  const problem = h("p", { class: "error", id: "name-error", role: "alert", hidden: true });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await make(input.value.trim());
      input.value = "";
    } catch (error) {
      say(problem, t(error.message));
      show(problem, error.status !== 401);
    }
  };
  return h("form", { class: "one-line", onsubmit: submit }, h("div", { class: "field" }, h("label", { for: "name" }, text), input, problem), h("button", { class: "main" }, button));
}
