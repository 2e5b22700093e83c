/** What is said in passing: toasts, the browser's notifications, and the banner while the connection is lost. */

import { h, icon, say, show } from "./dom.js";
import { t } from "./messages.js";
import { kindLabel, kindOf, titleOf } from "./format.js";

const TOAST = 8000;
const TOASTS_AT_MOST = 3;
const ENDS = { completed: "{kind} is ready", failed: "{kind} failed", canceled: "{kind} was canceled" };

/** @param {string} text @param {{href?: string, isBad?: boolean}} [options] */
export function toast(text, { href, isBad = false } = {}) {
  const place = document.getElementById("toasts");
  const close = h("button", { class: "quiet", "aria-label": t("Dismiss"), onclick: () => box.remove() }, icon("close"));
  const content = href ? h("a", { href }, text) : h("span", {}, text);
  const box = h("div", { class: isBad ? "toast bad" : "toast" }, content, close);
  place.append(box);
  while (place.children.length > TOASTS_AT_MOST) place.firstChild.remove();
  setTimeout(() => box.remove(), TOAST);
}

/** @param {unknown} error */
export function complain(error) {
  if (error.status !== 401) toast(t(error.message), { isBad: true });
}

export function tellEnd(job) {
  const what = t(ENDS[job.status], { kind: kindLabel(kindOf(job)) });
  toast(t("{name}: {text}", { name: what, text: titleOf(job).slice(0, 80) }), { href: `#/jobs/${job.id}`, isBad: job.status === "failed" });
  if (document.visibilityState === "visible" || globalThis.Notification?.permission !== "granted") return;
  const body = job.status === "failed" ? `${job.errorMessage ?? ""} ${job.errorAdvice}`.trim() : titleOf(job).slice(0, 120);
  const notification = new Notification(what, { body, tag: job.id, icon: new URL("icon.svg", import.meta.url).href });
  notification.onclick = () => {
    focus();
    location.hash = `#/jobs/${job.id}`;
  };
}

/** Asks the browser for permission; null where it has no notifications, or has been asked already. */
export function notificationButton() {
  if (globalThis.Notification?.permission !== "default") return null;
  const ask = async () => {
    await Notification.requestPermission();
    button.remove();
  };
  const button = h("button", { class: "quiet", title: t("Tell me when one ends"), onclick: ask }, icon("bell"));
  button.setAttribute("aria-label", t("Notify me when a generation ends"));
  return button;
}

export function bannerFor(state) {
  const banner = document.getElementById("banner");
  show(banner, state === "away");
  say(banner, state === "away" ? t("The connection is lost. Reconnecting; what is under way goes on.") : "");
}
