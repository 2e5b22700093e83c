import { Connection, Job, ReelayError } from "./reelay.js";

export type EventType =
  | "job.submitted"
  | "job.completed"
  | "job.failed"
  | "job.canceled"
  | "batch.completed"
  | "pipeline.completed"
  | "pipeline.failed"
  | "pipeline.waiting_for_approval"
  | "webhook.test";

export interface WebhookEvent<Data = Job> {
  /** The same however often it is told: keep those that you have handled. */
  id: string;
  type: EventType;
  timestamp: string;
  /** Growing by one with each of your events. */
  sequence: number;
  /** Of the types `job.*` the job, as it is from then on. */
  data: Data;
}

export interface WebhookEndpoint {
  id: string;
  url: string;
  /** Null: all types. */
  events: EventType[] | null;
  description: string;
  status: "unverified" | "enabled" | "disabled";
  disabledReason: "requested" | "gone" | "failing" | null;
  disabledAt: string | null;
  failingSince: string | null;
  secretRotatedUntil: string | null;
  createdAt: string;
}

export interface WebhookDelivery {
  id: string;
  eventId: string;
  type: EventType;
  sequence: number;
  jobId: string | null;
  batchId: string | null;
  state: "pending" | "delivered" | "failed";
  nextTryAt: string | null;
  attempts: {
    at: string;
    outcome: "delivered" | "refused" | "timed_out" | "not_connected" | "not_allowed" | "not_composed";
    statusCode: number | null;
    tookMs: number;
    error: string | null;
    body: string | null;
  }[];
  createdAt: string;
  endedAt: string | null;
}

/** It is not signed by your secret, or was signed too long ago: nothing in it is to be believed. */
export class InvalidWebhook extends ReelayError {}

/** The event, once it is known to be signed by `secret`, and not long ago. `body` must be as it came, byte for byte. */
export function verifyWebhook(
  body: string | Uint8Array,
  headers: Headers | Record<string, string | string[] | undefined>,
  secret: string,
  options?: { tolerance?: number; now?: number },
): Promise<WebhookEvent>;

/** Its `secret` is in this answer alone. */
export function createWebhookEndpoint(
  endpoint: { url: string; events?: EventType[]; description?: string },
  connection?: Connection,
): Promise<WebhookEndpoint & { secret: string }>;

export function webhookEndpoints(connection?: Connection): Promise<WebhookEndpoint[]>;

export function changeWebhookEndpoint(
  id: string,
  change: { status?: "enabled" | "disabled"; url?: string; events?: EventType[] | null; description?: string },
  connection?: Connection,
): Promise<WebhookEndpoint>;

export function deleteWebhookEndpoint(id: string, connection?: Connection): Promise<null>;

/** With the new `secret`. For 24 hours both sign. */
export function rotateWebhookSecret(id: string, connection?: Connection): Promise<WebhookEndpoint & { secret: string }>;

/** Have it sent a `webhook.test`. */
export function testWebhookEndpoint(id: string, connection?: Connection): Promise<WebhookEndpoint>;

/** A page of them, the newest first. */
export function webhookDeliveries(
  id: string,
  query?: Record<string, string>,
  connection?: Connection,
): Promise<{ data: WebhookDelivery[]; hasMore: boolean; nextCursor: string | null }>;

export function redeliverWebhook(id: string, deliveryId: string, connection?: Connection): Promise<WebhookDelivery>;

/** All events since then, the oldest 1,000. */
export function redeliverWebhooks(id: string, since: Date, connection?: Connection): Promise<{ count: number }>;

/** Of the events to the `webhookUrl`s of your jobs and batches. */
export function webhookSigningSecret(connection?: Connection): Promise<string>;

/** How your jobs ended, in order, beyond the event of that `sequence`, until there is no more for now. */
export function eventLog(options?: Connection & { after?: number }): AsyncGenerator<WebhookEvent, void, void>;
