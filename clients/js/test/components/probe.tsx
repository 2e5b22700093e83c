import { useState } from "react";
import { type FalJobOptions, useFalJob } from "reelay-client/react";

declare global {
  interface Window {
    /** Renders the hook anew with these options. */
    give: (options: FalJobOptions) => void;
    /** What its callbacks were told. */
    told: [end: "completed" | "failed", what: string][];
  }
}

window.told = [];

/** What `useFalJob` returns, as text. */
export function Probe() {
  const [options, setOptions] = useState<FalJobOptions>({ requestId: null });
  const state = useFalJob({
    ...options,
    onCompleted: (job) => window.told.push(["completed", job.id]),
    onFailed: (error) => window.told.push(["failed", error]),
  });
  window.give = setOptions;
  return <output>{JSON.stringify({ ...state, job: state.job && state.job.id })}</output>;
}
