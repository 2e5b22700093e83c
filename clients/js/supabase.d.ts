/** A row of `video_tasks`. */
export interface VideoTask {
  id: string;
  task_id: string;
  prompt: string;
  /** Plays without a header. */
  video_url: string | null;
  status: "processing" | "completed" | "failed";
  created_at: string;
  completed_at: string | null;
}

export interface Change {
  eventType: "INSERT" | "UPDATE";
  schema: string;
  table: string;
  new: VideoTask;
  old: Record<string, never>;
}

export interface Channel {
  on(
    type: "postgres_changes",
    filter: { event: "INSERT" | "UPDATE" | "*"; schema?: string; table?: string },
    callback: (change: Change) => void,
  ): Channel;
  subscribe(onStatus?: (status: "SUBSCRIBED") => void): Channel;
  unsubscribe(): void;
}

/** Without `apiKey` the browser's session cookie is sent. */
export function configure(settings: {
  baseUrl?: string;
  apiKey?: string | (() => string | Promise<string>) | null;
}): void;

/** Rejects when there is no such task of the caller's. */
export function getVideoByTaskId(taskId: string): Promise<VideoTask>;

/** What has not ended, newest first. */
export function getPendingVideos(): Promise<VideoTask[]>;

/** The latest videos, newest first, whatever became of them. */
export function getVideoHistory(limit?: number): Promise<VideoTask[]>;

export const supabase: { channel(name: string): Channel };
