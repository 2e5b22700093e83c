import { useState } from "react";
import { type FalJobOptions, useFalJob } from "reelay-client/react";

declare global {
  interface Window {
    /** Mounts the hook with these options, or renders it again with them. */
    give: (options: FalJobOptions) => void;
    /** What its callbacks were told. */
    told: [end: "completed" | "failed", what: string][];
  }
}

window.told = [];

export function Probe() {
  const [options, setOptions] = useState<FalJobOptions | null>(null);
  window.give = setOptions;
  return options && <FalJobState {...options} />;
}

/** What `useFalJob` returns, as text. */
function FalJobState(options: FalJobOptions) {
  const state = useFalJob({
    ...options,
    onCompleted: (job) => window.told.push(["completed", job.id]),
    onFailed: (error) => window.told.push(["failed", error]),
  });
  return <output>{JSON.stringify({ ...state, job: state.job && state.job.id })}</output>;
}
