/** The user's own files and results, to choose an input from. */

import { h } from "./dom.js";
import { titleOf } from "./format.js";
import { localAddress } from "./media.js";
import { t } from "./messages.js";

/** How many of each are offered, the newest first. */
const OFFERED = 50;

/** Name and picture of what was chosen, by its reference: a field that is built anew shows them again. */
const known = new Map();

/** @param {{uri: string, fileName: string | null, contentType: string, fileUrl: string, posterUrl: string | null}} asset */
export function remember(asset) {
  const picture = asset.posterUrl ?? (asset.contentType.startsWith("image/") ? asset.fileUrl : null);
  known.set(asset.uri, { name: asset.fileName ?? asset.uri, picture: picture && localAddress(picture) });
}

/** What is known of the file; undefined for an address. */
export function about(reference) {
  return known.get(reference);
}

/**
 * Asks which file to take: its reference, or null.
 *
 * @param {import("./session.js").Session} session
 * @param {string} kind `image` or `audio`.
 */
export async function choose(session, kind) {
  const [assets, jobs] = await Promise.all([
    session.call(`/api/assets?limit=${OFFERED}`),
    session.call(`/api/jobs?status=completed&limit=${OFFERED}`),
  ]);
  const dialog = h("dialog", { class: "picker", "aria-labelledby": "picker-title" });
  const pick = (reference) => dialog.close(reference);
  const tiles = [...tilesOf(assets.data, kind, pick), ...jobs.data.flatMap((job) => tilesOfJob(job, kind, pick))];
  dialog.append(
    h("h2", { id: "picker-title" }, t("Your files and results")),
    tiles.length ? h("ul", { class: "tiles" }, ...tiles) : h("p", {}, t("There is nothing here that fits yet.")),
    h("form", { method: "dialog", class: "buttons" }, h("button", { value: "" }, t("Close"))),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue || null);
    });
  });
}

function tilesOf(assets, kind, pick) {
  return assets
    .filter((asset) => asset.contentType.startsWith(`${kind}/`))
    .map((asset) => {
      remember(asset);
      return tile(asset.fileName ?? asset.contentType, about(asset.uri).picture, () => pick(asset.uri));
    });
}

function tilesOfJob(job, kind, pick) {
  return (job.files ?? [])
    .filter((file) => file.format.startsWith(`${kind}/`))
    .map((file) => {
      const reference = referenceTo(job, file);
      return tile(titleOf(job), about(reference).picture, () => pick(reference));
    });
}

/** What an input takes for a file of a job. */
export function referenceTo(job, file) {
  const reference = `job:${job.id}/${file.name}`;
  const picture = file.posterUrl ?? (file.format.startsWith("image/") ? file.fileUrl : null);
  known.set(reference, { name: titleOf(job), picture: picture && localAddress(picture) });
  return reference;
}

function tile(name, picture, onclick) {
  return h("li", {}, h("button", { type: "button", onclick }, still(picture), h("span", {}, name)));
}

/** A small picture, or its empty place. */
export function still(picture) {
  return h("span", { class: "thumb" }, picture && h("img", { alt: "", src: picture, loading: "lazy" }));
}
