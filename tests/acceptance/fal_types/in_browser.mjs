// For a page that has configured `fal`.
import { fal } from "@fal-ai/client";
import { converse, picture } from "./conversation.mjs";

Object.assign(globalThis, { fal, picture, converse: () => converse(fal) });
