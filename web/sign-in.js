/** The way in: an API key. */

import { h, say, show } from "./dom.js";
import { t } from "./messages.js";
import { request } from "./reelay.js";
import { remember } from "./session.js";

/** @param {{why: string, enter: (key: string) => void}} options `why` one has to sign in again. */
export function signInView({ why, enter }) {
  const key = h("input", {
    id: "key",
    type: "password",
    autocomplete: "current-password",
    spellcheck: "false",
    required: true,
    placeholder: "rk_…",
    "aria-describedby": "key-help key-error",
  });
  const keep = h("input", { type: "checkbox", id: "keep" });
  const problem = h("p", { class: "error", id: "key-error", role: "alert", hidden: !why }, why);
  const button = h("button", { class: "main" }, t("Sign in"));

  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    try {
      await request("/api/jobs?limit=1", { apiKey: key.value.trim() });
      remember(key.value.trim(), keep.checked);
      enter(key.value.trim());
    } catch (error) {
      say(problem, error.status === 401 ? t("This key is not taken: it is unknown, expired or revoked.") : t(error.message));
      show(problem, true);
      key.setAttribute("aria-invalid", "true");
      key.focus();
    } finally {
      button.disabled = false;
    }
  }

  return h(
    "form",
    { class: "sign-in card", onsubmit: submit },
    h("h1", {}, t("Sign in")),
    h("p", {}, t("Create videos, voices, sounds, pictures and transcripts, and see them through to their end.")),
    h("label", { for: "key" }, t("API key")),
    key,
    problem,
    h("p", { class: "hint", id: "key-help" }, t("Make one with "), h("code", {}, "reelay keys create <user>"), "."),
    h("label", { class: "check" }, keep, t("Keep me signed in on this device")),
    button,
  );
}
