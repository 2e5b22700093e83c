/** Who is signed in, and the calls in that name. */

import { t } from "./messages.js";
import { Refused, configureReelay, createGeneration, request, upload, watchGenerations } from "./reelay.js";

/** Where the API is: this module lies in `web/` below it, whatever the path of the public address. */
export const API = new URL("..", import.meta.url).href.slice(0, -1);
configureReelay({ baseUrl: API });

const KEY = "reelay.key";

/** Tells `signedout` when the API no longer takes the key. */
export class Session extends EventTarget {
  /** @param {string} key */
  constructor(key) {
    super();
    this.key = key;
    this.end = new AbortController();
  }

  /** @throws {Refused | NotReachable} */
  async call(path, options = {}) {
    return this.watched(request(path, { ...options, apiKey: this.key, signal: this.end.signal }));
  }

  /** @param {File} file */
  upload(file) {
    return this.watched(upload(file, { apiKey: this.key, signal: this.end.signal }));
  }

  create(body) {
    return this.watched(createGeneration(null, body, { apiKey: this.key, signal: this.end.signal }));
  }

  /** @param {Omit<Parameters<typeof watchGenerations>[0], "apiKey" | "signal">} options */
  watch(options) {
    return this.watched(watchGenerations({ ...options, apiKey: this.key, signal: this.end.signal }));
  }

  /** What the page was handed out, links to media above all, ends too. */
  signOut() {
    request("/api/sign-out", { method: "POST", apiKey: this.key }).catch(() => {});
    this.close("");
  }

  close(why) {
    if (this.end.signal.aborted) return;
    this.end.abort();
    forget();
    this.dispatchEvent(new CustomEvent("signedout", { detail: why }));
  }

  async watched(answer) {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof Refused && error.status === 401) {
        this.close(t("The key is no longer taken: it expired or was revoked. Sign in with another one."));
      }
      throw error;
    }
  }
}

/**
 * The key of an earlier visit, or of a link like the one that `reelay dev` prints. The link's key leaves the address,
 * and with it the history, before anything else happens.
 */
export function rememberedKey() {
  const linked = /^#key=([\w.-]+)$/.exec(location.hash);
  if (linked) {
    history.replaceState(null, "", location.pathname + location.search);
    remember(linked[1], true);
  }
  return sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY);
}

/** @param {boolean} lasting Also when the browser is opened the next time; otherwise for this tab. */
export function remember(key, lasting) {
  forget();
  (lasting ? localStorage : sessionStorage).setItem(KEY, key);
}

function forget() {
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
}
