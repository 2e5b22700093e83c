/**
 * Webhooks: verified where they arrive (Node, Deno, Bun, workers; by WebCrypto), and the calls that set them up.
 *
 * @typedef {import("./reelay.d.ts").Connection} Connection
 * @typedef {import("./webhooks.d.ts").WebhookEvent} WebhookEvent
 */

import { ReelayError, request } from "./reelay.js";

const TOLERANCE = 300;
const PREFIX = "whsec_";
const ENDPOINTS = "/api/webhook-endpoints";

/** It is not signed by your secret, or was signed too long ago: nothing in it is to be believed. */
export class InvalidWebhook extends ReelayError {
  constructor(message) {
    super(message, { code: "INVALID_WEBHOOK" });
  }
}

/**
 * The event, once it is known to be signed by `secret`, and not long ago. The same event may come again: keep the ids of
 * those that you have handled.
 *
 * @param {string | Uint8Array} body As it came, byte for byte: not parsed and written again.
 * @param {Headers | Record<string, string | string[] | undefined>} headers
 * @param {string} secret `whsec_...`
 * @param {{tolerance?: number, now?: number}} [options] Seconds; `now` since the epoch.
 * @returns {Promise<WebhookEvent>}
 * @throws {InvalidWebhook}
 */
export async function verifyWebhook(body, headers, secret, { tolerance = TOLERANCE, now = Date.now() / 1000 } = {}) {
  const id = header(headers, "webhook-id");
  const timestamp = header(headers, "webhook-timestamp");
  const signatures = header(headers, "webhook-signature").split(" ");
  if (!id || !/^\d+$/.test(timestamp)) throw new InvalidWebhook("A header is missing or malformed.");
  if (Math.abs(now - Number(timestamp)) > tolerance) {
    throw new InvalidWebhook("It was signed too long ago, or the clocks differ.");
  }
  const encoder = new TextEncoder();
  const raw = typeof body === "string" ? encoder.encode(body) : body;
  const head = encoder.encode(`${id}.${timestamp}.`);
  const signed = new Uint8Array(head.length + raw.length);
  signed.set(head);
  signed.set(raw, head.length);
  const hmac = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", fromBase64(secret.replace(PREFIX, "")), hmac, false, ["verify"]);
  for (const signature of signatures) {
    const [version, encoded] = signature.split(",");
    // WebCrypto compares in constant time.
    if (version === "v1" && (await crypto.subtle.verify("HMAC", key, fromBase64(encoded), signed))) {
      return { ...JSON.parse(new TextDecoder().decode(raw)), id };
    }
  }
  throw new InvalidWebhook("No signature is by this secret.");
}

/** Its `secret` is in this answer alone. @param {{url: string, events?: string[], description?: string}} endpoint */
export function createWebhookEndpoint(endpoint, connection = {}) {
  return request(ENDPOINTS, { ...connection, method: "POST", body: endpoint });
}

/** @param {Connection} [connection] */
export async function webhookEndpoints(connection = {}) {
  return (await request(ENDPOINTS, connection)).data;
}

/** @param {string} id @param {Object} change `status`, `url`, `events`, `description`. */
export function changeWebhookEndpoint(id, change, connection = {}) {
  return request(`${ENDPOINTS}/${id}`, { ...connection, method: "PATCH", body: change });
}

/** @param {string} id */
export function deleteWebhookEndpoint(id, connection = {}) {
  return request(`${ENDPOINTS}/${id}`, { ...connection, method: "DELETE" });
}

/** With the new `secret`. For 24 hours both sign. @param {string} id */
export function rotateWebhookSecret(id, connection = {}) {
  return request(`${ENDPOINTS}/${id}/rotate-secret`, { ...connection, method: "POST" });
}

/** Have it sent a `webhook.test`. @param {string} id */
export function testWebhookEndpoint(id, connection = {}) {
  return request(`${ENDPOINTS}/${id}/test`, { ...connection, method: "POST" });
}

/** A page of them, the newest first. @param {string} id @param {Record<string, string>} [query] */
export function webhookDeliveries(id, query = {}, connection = {}) {
  return request(`${ENDPOINTS}/${id}/deliveries?${new URLSearchParams(query)}`, connection);
}

/** @param {string} id @param {string} deliveryId */
export function redeliverWebhook(id, deliveryId, connection = {}) {
  return request(`${ENDPOINTS}/${id}/deliveries/${deliveryId}/redeliver`, { ...connection, method: "POST" });
}

/** All events since then, the oldest 1,000. @param {string} id @param {Date} since */
export function redeliverWebhooks(id, since, connection = {}) {
  return request(`${ENDPOINTS}/${id}/redeliver`, { ...connection, method: "POST", body: { since: since.toISOString() } });
}

/** Of the events to the `webhookUrl`s of your jobs and batches. @param {Connection} [connection] */
export async function webhookSigningSecret(connection = {}) {
  return (await request(`${ENDPOINTS}/signing-secret`, connection)).secret;
}

/**
 * How your jobs ended, in order, beyond the event of that `sequence`, until there is no more for now.
 *
 * @param {Connection & {after?: number}} [options]
 * @returns {AsyncGenerator<WebhookEvent, void, void>}
 */
export async function* eventLog({ after = 0, ...connection } = {}) {
  for (;;) {
    const page = await request(`/api/event-log?limit=100&after=${after}`, connection);
    yield* page.data;
    if (!page.hasMore) return;
    after = page.nextCursor;
  }
}

function header(headers, name) {
  const value = typeof headers.get === "function" ? headers.get(name) : headers[name];
  return String((Array.isArray(value) ? value[0] : value) ?? "");
}

function fromBase64(text = "") {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    throw new InvalidWebhook("A secret or a signature is not base64.");
  }
}
