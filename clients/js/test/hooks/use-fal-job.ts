export { useFalJob } from "reelay-client/react";
