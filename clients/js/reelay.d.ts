export interface Connection {
  /** Origin of the API; the page's own when left out. */
  baseUrl?: string;
  /** The key or token, or what gets a fresh one for each call. */
  apiKey?: string | (() => string | Promise<string>);
  /** Sent with every call. */
  headers?: Record<string, string>;
  /** `include` sends cookies to another origin as well. */
  credentials?: RequestCredentials;
}

export type Status = "pending" | "submitted" | "in_progress" | "completed" | "failed" | "canceled";

/** What checking a file's Content Credentials (C2PA) found. */
export interface Provenance {
  state: "none" | "valid" | "trusted" | "invalid";
  /** To whom the signer's certificate was issued. */
  issuer: string | null;
  /** The program that wrote them, by its own account. */
  generator: string | null;
}

export interface MediaFile {
  name: string;
  fileUrl: string;
  /** Bytes. */
  fileSize: number;
  /** Content type. */
  format: string;
  durationSeconds: number | null;
  width: number | null;
  height: number | null;
  posterUrl: string | null;
  /** By the provider's safety check: it may be black or blurred. */
  flagged: boolean;
  /** Null where its Content Credentials were not checked. */
  provenance: Provenance | null;
}

/** As `GET /api/jobs/{id}` answers; the fields that are used most. */
export interface TimeRange {
  earliest: string;
  latest: string;
}

export interface Job {
  id: string;
  type: string;
  model: string;
  status: Status;
  stage: string;
  /** 0 to 100. */
  progress: number;
  progressMessage: string;
  /** What it waits for, while nothing happens to it. */
  waitingFor: "slot" | "queue" | "provider" | "account" | "key" | null;
  /** How many are ahead of it, in the provider's queue or in the line for its slots. */
  queuePosition: number | null;
  estimatedStartAt: string | null;
  /** Four of five jobs like it start between these moments. */
  estimatedStartRange: TimeRange | null;
  estimatedCompletionAt: string | null;
  estimatedCompletionRange: TimeRange | null;
  secondsLeft: number | null;
  resultUrl: string | null;
  files: MediaFile[];
  /** By the provider's safety check: one of the files, or what was not kept for that. */
  flagged: boolean;
  resultData: Record<string, unknown> | null;
  errorCode: string | null;
  errorMessage: string | null;
  /** What the user can do about it. */
  errorAdvice: string | null;
  metadata: Record<string, unknown>;
  createdAt: string;
  completedAt: string | null;
}

/** The answer to a creating call. */
export interface Created {
  jobId: string;
  status: Status;
  estimatedCostCents: number;
  estimatedSeconds: number;
}

export interface FieldError {
  field: string;
  message: string;
  limit: unknown;
  value: unknown;
}

export class ReelayError extends Error {
  /** To act upon, e.g. `INVALID_PARAMS`. */
  readonly code: string;
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
}

export class NotReachable extends ReelayError {}

export class Refused extends ReelayError {
  readonly problem: Record<string, unknown>;
  readonly errors: FieldError[];
  /** Milliseconds to wait before another try. */
  readonly retryAfter: number;
  /** Whether the same request could be answered otherwise in a moment. */
  readonly isPassing: boolean;
}

/** The generation ended without its media: `job` tells why. */
export class GenerationFailed extends ReelayError {
  readonly job: Job;
}

/** It was polled for `maxPollTime` without an end. It goes on without us. */
export class WaitTimeout extends ReelayError {
  /** As it was seen last. */
  readonly job: Job | null;
}

/** What a job's status is in the end. */
export const FINAL: ReadonlySet<Status>;

/** The connection of every call that does not name its own. */
export function configureReelay(connection: Connection): void;

export type Kind = "video" | "first-frame" | "voice" | "ambient" | "transcribe";

/** `kind` is null with `{model, input}`. */
export function createGeneration(
  kind: Kind | null,
  input: Record<string, unknown>,
  options?: Connection & { idempotencyKey?: string; signal?: AbortSignal },
): Promise<Created>;

/** From one that failed or was canceled. */
export function retryGeneration(
  id: string,
  options?: Connection & {
    /** Changes fields of its input; null removes one. */
    input?: Record<string, unknown>;
    /** Confirms a price above the interactive budget. */
    confirm?: boolean;
    idempotencyKey?: string;
    signal?: AbortSignal;
  },
): Promise<Created>;

/** With its files. Refused with `CONFLICT` while it runs. */
export function deleteGeneration(id: string, options?: Connection & { signal?: AbortSignal }): Promise<void>;

export interface PollTimes {
  /** Milliseconds; 3,000 unless given. */
  pollInterval?: number;
  /** Milliseconds; ten minutes unless given. */
  maxPollTime?: number;
  signal?: AbortSignal;
}

/** Resolves with undefined once `signal` is aborted, and where `onFailed` is told instead. */
export function watchGeneration(
  id: string,
  options?: Connection &
    PollTimes & {
      onProgress?: (job: Job) => void;
      onCompleted?: (job: Job) => void;
      onFailed?: (error: GenerationFailed | WaitTimeout | Refused) => void;
    },
): Promise<Job | undefined>;

/** A job that only moved on comes with the fields that changed. */
export function watchGenerations(
  options: Connection & {
    onJob: (job: Partial<Job> & { id: string }) => void;
    onState?: (state: "live" | "polling" | "away") => void;
    pollInterval?: number;
    signal?: AbortSignal;
  },
): Promise<void>;

/** The job at each poll, the last one ended; nothing more once `signal` is aborted. */
export function pollJob(path: string, options?: Connection & PollTimes): AsyncGenerator<Job, void, void>;

/** A file that you brought. */
export interface Asset {
  assetId: string;
  /** What an input takes in place of an address. */
  uri: string;
  fileName: string | null;
  contentType: string;
  sizeBytes: number;
  sha256: string;
  width: number | null;
  height: number | null;
  durationSeconds: number | null;
  fileUrl: string;
  posterUrl: string | null;
  /** Null where its Content Credentials were not checked. */
  provenance: Provenance | null;
  createdAt: string;
}

/** `file`: a `File` or `Blob`; in Node also a path. */
export function upload(
  file: Blob | string,
  options?: Connection & { name?: string; signal?: AbortSignal },
): Promise<Asset>;

export interface CreatedBatch {
  batchId: string;
  /** In the order of the request. */
  jobIds: string[];
  /** Held until each job ends. */
  estimatedCostCents: number;
  statusUrl: string;
}

export interface Batch {
  id: string;
  /** `completed` when all of its jobs have ended, however they ended. */
  status: "running" | "completed";
  total: number;
  counts: Record<"pending" | "submitted" | "in_progress" | "completed" | "failed" | "canceled", number>;
  /** 0 to 100, of all jobs. */
  progress: number;
  estimatedCostCents: number;
  /** Charged so far, in cents. */
  creditsDeducted: number;
  estimatedCompletionAt: string | null;
  metadata: Record<string, unknown>;
  createdAt: string;
  completedAt: string | null;
}

/** One job of a batch. */
export interface BatchResult {
  jobId: string;
  externalId: string | null;
  model: string;
  status: Status;
  errorCode: string | null;
  creditsDeducted: number;
  /** Signed addresses that play without credentials for at least an hour. */
  files: string[];
}

/** A job as `POST /api/jobs` takes it. */
export interface BatchJob {
  model: string;
  input: Record<string, unknown>;
  [field: string]: unknown;
}

/** Up to 1,000 jobs: all of them or none. */
export interface BatchEstimate {
  /** Of jobs. */
  total: number;
  estimatedCostCents: number;
}

/** What `createBatch` with the same jobs would cost. Nothing is created; what it would refuse is refused. */
export function estimateBatch(
  jobs: BatchJob[],
  options?: Connection & { signal?: AbortSignal },
): Promise<BatchEstimate>;

export function createBatch(
  jobs: BatchJob[],
  options?: Connection & {
    /** Told once, when the last job has ended. */
    webhookUrl?: string;
    metadata?: Record<string, unknown>;
    idempotencyKey?: string;
    signal?: AbortSignal;
  },
): Promise<CreatedBatch>;

export function readBatch(id: string, connection?: Connection): Promise<Batch>;

/** Cancel what has not ended. */
export function cancelBatch(id: string, connection?: Connection): Promise<Batch>;

/** What its jobs have made so far, in the order of the request. */
export function batchResults(id: string, connection?: Connection): Promise<BatchResult[]>;

/** The batch at each poll, the last time when all of its jobs have ended; nothing more once `signal` is aborted. */
export function watchBatch(
  id: string,
  options?: Connection & {
    /** Milliseconds; 3,000 unless given. */
    pollInterval?: number;
    signal?: AbortSignal;
  },
): AsyncGenerator<Batch, void, void>;

export type PipelineStatus = "running" | "waiting_for_approval" | "completed" | "failed" | "canceled";

export type StepStatus =
  | "waiting"
  | "running"
  | "waiting_for_approval"
  | "completed"
  | "reused"
  | "failed"
  | "skipped";

export interface PipelineStep {
  status: StepStatus;
  kind: Kind | "mix" | null;
  model: string | null;
  needs: string[];
  input: Record<string, unknown>;
  /** Of one that was reused, the earlier job. */
  jobId: string;
  /** 0 to 100. */
  progress: number;
  progressMessage: string;
  files: MediaFile[];
  estimatedCostCents: number;
  costCents: number;
  inputHash: string | null;
  errorCode: string | null;
  errorMessage: string | null;
  note: string | null;
}

/** As `GET /api/pipelines/{id}` answers. */
export interface Pipeline {
  id: string;
  name: string;
  status: PipelineStatus;
  progress: number;
  steps: Record<string, PipelineStep>;
  approvals: string[];
  clipId: string | null;
  rerunOf: string | null;
  budgetCents: number | null;
  estimatedCostCents: number;
  costCents: number;
  metadata: Record<string, unknown>;
  createdAt: string;
  completedAt: string | null;
}

export interface PipelineCreated {
  pipelineId: string;
  status: PipelineStatus;
  estimatedCostCents: number;
  statusUrl: string;
  eventsUrl: string;
}

/** `parts`: `video`, and perhaps `firstFrame`, `voice`, `ambient`, `captions`. */
export function produceClip(
  clipId: string,
  parts: Record<string, unknown>,
  options?: Connection & { idempotencyKey?: string; signal?: AbortSignal },
): Promise<PipelineCreated>;

/** As `POST /api/campaigns/{id}/produce` answers: the pipelines' ids by their clips'. */
export interface Produced {
  pipelines: Record<string, string>;
  estimatedCostCents: number;
  statusUrl: string;
}

/** `plan`: `{clips: {ID: parts}, ...}`, all of them or none. */
export function produceCampaign(
  campaignId: string,
  plan: Record<string, unknown>,
  options?: Connection & { idempotencyKey?: string; signal?: AbortSignal },
): Promise<Produced>;

export function createPipeline(
  plan: Record<string, unknown>,
  options?: Connection & { idempotencyKey?: string; signal?: AbortSignal },
): Promise<PipelineCreated>;

/** The pipeline at each change, the last one ended; nothing more once `signal` is aborted. */
export function watchPipeline(
  id: string,
  options?: Connection & { pollInterval?: number; signal?: AbortSignal },
): AsyncGenerator<Pipeline, void, void>;

/** One call of the API: the parsed answer. */
export function request(
  path: string,
  options?: Connection & { method?: string; body?: unknown; signal?: AbortSignal },
): Promise<any>;
