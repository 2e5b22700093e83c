import type { Job } from "./reelay.js";

export { configureReelay } from "./reelay.js";
export type { Connection, Job } from "./reelay.js";

/** As `GET /api/fal-jobs/{requestId}` answers. */
export interface FalJob extends Omit<Job, "status"> {
  /** `pending` until the end. A canceled job is `failed`. */
  status: "pending" | "completed" | "failed";
  requestId: string;
  /** `{video: {url}}`, `{audio: {url}}` or `{images: [{url}]}` with links that play; null until it has completed. */
  result: unknown;
  error: string | null;
  nodeId: unknown;
  projectId: unknown;
}

export interface FalJobOptions {
  /** The provider's or Reelay's id; null: nothing to poll yet. */
  requestId: string | null;
  /** Milliseconds; 3,000 unless given. */
  pollInterval?: number;
  /** Milliseconds; ten minutes unless given. The generation goes on after that. */
  maxPollTime?: number;
  onCompleted?: (job: FalJob) => void;
  /** It failed, was canceled, is unknown, or took longer than `maxPollTime`. */
  onFailed?: (error: string) => void;
}

export interface FalJobState {
  job: FalJob | null;
  isPolling: boolean;
  isCompleted: boolean;
  error: string | null;
}

export function useFalJob(options: FalJobOptions): FalJobState;

/** What `POST /api/generate/video` takes. */
export interface VideoInput {
  prompt: string;
  firstFrameUrl?: string;
  duration?: number;
  quality?: "standard" | "fast";
  [word: string]: unknown;
}

export interface PollOptions {
  /** Milliseconds; 3,000 unless given. */
  interval?: number;
  /** Milliseconds; ten minutes unless given. */
  timeout?: number;
  /** Told 0 to 100 at each poll. */
  onProgress?: (progress: number) => void;
  signal?: AbortSignal;
}

export function pollJobStatus(jobId: string, options?: PollOptions): Promise<Job | null>;

export function generateVideoAsync<Clip extends { video?: object | null }>(
  clip: Clip,
  input: VideoInput,
  options?: PollOptions,
): Promise<(Clip & { video: { raw_url: string } }) | null>;

export interface VideoGenerationOptions {
  /** Told 0 to 100 at each poll. */
  updateClipProgress?: (clipId: string, progress: number) => void;
}

export interface VideoGeneration {
  /** Rejects as `generateVideoAsync`; null when the component was unmounted before the end. */
  generateVideoAsync<Clip extends { id: string; video?: object | null }>(
    clip: Clip,
    input: VideoInput,
    options?: Omit<PollOptions, "signal">,
  ): Promise<(Clip & { video: { raw_url: string } }) | null>;
  pollJobStatus: typeof pollJobStatus;
  /** 0 to 100 by clip id. */
  progress: Record<string, number>;
  isGenerating: boolean;
  /** Why the latest one did not complete. */
  error: string | null;
}

export function useVideoGeneration(options?: VideoGenerationOptions): VideoGeneration;
