export { generateVideoAsync, pollJobStatus, useVideoGeneration } from "reelay-client/react";
