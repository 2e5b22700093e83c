// For a page: its proxy is of its own origin, and knows who asks by the session's cookie.
import { converse } from "./conversation.mjs";

globalThis.converse = () => converse({ proxyUrl: "/api/fal/proxy" });
