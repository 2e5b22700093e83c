// `node converse.mjs`: with PROXY_URL, else with the hosts of fal at SIMULATOR.
import { createFalClient } from "@fal-ai/client";
import { converse } from "./conversation.mjs";

const { FAL_KEY: credentials, PROXY_URL: url, SIMULATOR: simulator } = process.env;
const toSimulator = async (request) => ({
  ...request,
  url: request.url.replace(/^https:\/\/(queue\.fal\.run|rest\.fal\.ai)/, simulator),
});
const config = url ? { credentials, proxyUrl: { url, when: "always" } } : { credentials, requestMiddleware: toSimulator };
console.log(JSON.stringify(await converse(createFalClient(config), { runs: Boolean(url) })));
