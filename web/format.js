/** What the page says: how states, times, money and sizes are written. */

import { language, t } from "./messages.js";

/** Of amounts: English ones are written as in the dollar's country. */
const LOCALE = language === "en" ? "en-US" : language;
const STAGES = {
  reserving: "Getting ready",
  waiting: "Waiting for its turn",
  submitting: "Sending to the provider",
  uncertain: "Finding out whether the provider has it",
  queued: "Waiting in the queue",
  generating: "Generating",
  polling: "Asking the provider",
  fetching: "Fetching the result",
  archiving: "Saving the files",
  finishing: "Finishing",
  done: "Done",
};
const STATUSES = { pending: "Waiting", submitted: "Waiting in the queue", in_progress: "Under way" };
const ENDS = { completed: "Ready", failed: "Failed", canceled: "Canceled" };
const KINDS = {
  video: "Video",
  "first-frame": "First frame",
  voice: "Voice",
  ambient: "Sound",
  transcribe: "Transcript",
  other: "Other",
};
const KIND_OF_TYPE = {
  video_veo31: "video",
  video: "video",
  first_frame: "first-frame",
  voice_chatterbox: "voice",
  ambient_elevenlabs: "ambient",
  transcribe_whisper: "transcribe",
  other: "other",
};

export const kindOf = (job) => KIND_OF_TYPE[job.type] ?? "video";
export const kindLabel = (kind) => t(KINDS[kind] ?? kind);

export function stateLabel(job) {
  if (ENDS[job.status]) return t(ENDS[job.status]);
  if (job.waitingFor || job.stage === "submitting") return job.progressMessage; // it says how many are ahead, or what it waits for
  return t(STAGES[job.stage] ?? job.stage);
}

/** @param {string} status Of a job of which no more is known. */
export const statusLabel = (status) => t(ENDS[status] ?? STATUSES[status] ?? status);

/** How a job is called: what was asked for, by its prompt or text. */
export function titleOf(job) {
  if (job.model === "mix") return t("Film");
  const input = job.input ?? {};
  const text = input.prompt || input.text || input.audioUrl || input.audio_url || "";
  return String(text).trim() || t("{kind} without text", { kind: kindLabel(kindOf(job)) });
}

export function money(cents) {
  return new Intl.NumberFormat(LOCALE, { style: "currency", currency: "USD" }).format((cents ?? 0) / 100);
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 1) return `${Math.max(seconds, 0).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return whole % 60 ? `${minutes} min ${whole % 60} s` : `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `seenAt`: when the job was told, in milliseconds; what it said has been running down since. */
export function timeLeft(job) {
  if (job.waitingFor === "slot" && job.estimatedStartRange) return t("starts between {earliest} and {latest}", clocks(job.estimatedStartRange));
  const isWaiting = job.stage === "generating" || job.stage === "polling";
  if (job.secondsLeft === null && isWaiting && job.submittedAt) return t("longer than usual");
  if (job.secondsLeft === null || job.secondsLeft === undefined) return "";
  const left = job.secondsLeft - (Date.now() - (job.seenAt ?? Date.now())) / 1000;
  if (left <= 3) return t("any moment now");
  return t("about {duration} left", { duration: duration(left < 20 ? left : Math.round(left / 5) * 5) });
}

/** A range of moments, as times of day. */
export function clocks({ earliest, latest }) {
  return { earliest: clock(earliest), latest: clock(latest) };
}

const AGES = [
  [60, "second", 1],
  [3600, "minute", 60],
  [86400, "hour", 3600],
  [604800, "day", 86400],
];

export function ago(iso) {
  const seconds = Math.max((Date.now() - Date.parse(iso)) / 1000, 0);
  if (seconds < 10) return t("just now");
  const age = AGES.find(([limit]) => seconds < limit);
  if (!age) return new Date(iso).toLocaleDateString(language, { day: "numeric", month: "short", year: "numeric" });
  return new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(-Math.floor(seconds / age[2]), age[1]);
}

export function moment(iso) {
  return new Date(iso).toLocaleString(language, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
}

export function clock(iso) {
  return new Date(iso).toLocaleTimeString(language, { hourCycle: "h23" });
}

export function bytes(size) {
  if (size < 1024) return `${size} B`;
  const power = Math.min(Math.floor(Math.log2(size) / 10), 3);
  return `${(size / 1024 ** power).toFixed(power > 1 ? 1 : 0)} ${["B", "KB", "MB", "GB"][power]}`;
}

/** `negativePrompt` as `Negative prompt`, `firstFrameUrl` as `First frame`. */
export function label(name) {
  const text = name.replace(/Url$|_url$/, "").replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);
  return t(text[0].toUpperCase() + text.slice(1).replaceAll("_", " "));
}
