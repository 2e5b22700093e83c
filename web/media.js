/** Players and pictures of archived files. */

import { h, icon } from "./dom.js";
import { t } from "./messages.js";
import { kindLabel, kindOf, titleOf } from "./format.js";
import { API } from "./session.js";

/** Files are always asked of this origin: a job names them by the public one, which the page's policy does not let in. */
export function localAddress(url) {
  const { pathname, search } = new URL(url, location.href);
  const begin = pathname.indexOf("/api/media/");
  return begin < 0 ? null : API + pathname.slice(begin) + search;
}

/** Whether a link has expired: the page may have been open for hours. */
export function hasExpired(url) {
  return Number(new URL(url, location.href).searchParams.get("expires")) <= Date.now() / 1000;
}

/** The job's file with links that are good now. */
export async function renewed(file, job, session) {
  const { files } = await session.call(`/api/jobs/${job.id}`);
  return files.find(({ name }) => name === file.name) ?? file;
}

/** The job's media as it is to be looked at or listened to; null when there is none. */
export function player(job, session, { eager = false } = {}) {
  const elements = (job.files ?? []).map((file) => fileElement(job, file, session, eager)).filter(Boolean);
  if (kindOf(job) === "transcribe") elements.unshift(transcriptOf(job) ?? readTranscript(job, session));
  return elements.length ? h("div", { class: "media" }, ...elements) : null;
}

function fileElement(job, file, session, eager) {
  const kind = file.format.split("/")[0];
  const name = t("{name}: {text}", { name: kindLabel(kindOf(job)), text: titleOf(job).slice(0, 120) });
  const ratio = file.width && file.height ? { width: file.width, height: file.height } : {};
  if (kind === "image") return load(h("img", { alt: name, loading: "lazy", ...ratio }), file, job, session);
  const props = { controls: true, preload: eager ? "metadata" : "none", "aria-label": name };
  if (kind === "video") return load(h("video", { ...props, playsinline: true, ...ratio }), file, job, session);
  if (kind === "audio") return load(h("audio", props), file, job, session);
  return null;
}

function load(element, file, job, session) {
  open(element, file);
  const again = async () => {
    const playedTo = element.currentTime;
    open(element, await renewed(file, job, session));
    if (playedTo) element.currentTime = playedTo;
  };
  // Once more by a fresh link: the old one may have expired while the machine slept.
  element.addEventListener("error", () => again().catch(() => {}), { once: true });
  return element;
}

function open(element, file) {
  if (file.posterUrl && element.tagName === "VIDEO") element.poster = localAddress(file.posterUrl);
  element.src = localAddress(file.fileUrl);
}

/** A small still for lists. */
export function thumbnail(job) {
  const file = job.files?.[0];
  const url = file && (file.posterUrl ?? (file.format.startsWith("image/") ? file.fileUrl : null));
  const frame = h("span", { class: "thumb", dataset: { kind: kindOf(job) } });
  if (!url) {
    frame.append(icon(kindOf(job)));
    return frame;
  }
  const image = h("img", { alt: "", loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.replaceWith(icon(kindOf(job))));
  image.src = localAddress(url);
  frame.append(image);
  return frame;
}

/** Lists leave the text out: it can be long. */
function readTranscript(job, session) {
  const place = h("p", { class: "hint" }, t("Reading the transcript…"));
  session.call(`/api/jobs/${job.id}`).then(
    (whole) => place.replaceWith(transcriptOf(whole) ?? h("p", { class: "hint" }, t("It has no words."))),
    (error) => place.replaceChildren(t("The transcript cannot be read at the moment. {error}", { error: t(error.message) })),
  );
  return place;
}

function transcriptOf(job) {
  const text = job.resultData?.text;
  if (!text) return null;
  const chunks = (job.resultData.chunks ?? []).filter((chunk) => Array.isArray(chunk.timestamp));
  const lines = chunks.map((chunk) =>
    h("li", {}, h("span", { class: "time" }, at(chunk.timestamp[0])), String(chunk.text ?? "").trim()),
  );
  const body = lines.length ? h("ol", { class: "lines" }, ...lines) : h("p", {}, String(text).trim());
  return h("div", { class: "transcript", tabindex: "0", role: "region", "aria-label": t("Transcript") }, body);
}

function at(seconds) {
  const whole = Math.floor(Number(seconds) || 0);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
