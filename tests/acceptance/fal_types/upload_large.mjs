// More than 90 MB of silence, which the client sends in parts; its address and its size.
import { fal } from "@fal-ai/client";

const { FAL_KEY: credentials, PROXY_URL: url } = process.env;
fal.config({ credentials, proxyUrl: { url, when: "always" } });

const size = 91 * 1024 * 1024;
const head = new DataView(new ArrayBuffer(44));
const text = (at, word) => [...word].forEach((letter, index) => head.setUint8(at + index, letter.charCodeAt(0)));
text(0, "RIFF");
head.setUint32(4, size - 8, true);
text(8, "WAVEfmt ");
[[16, 16], [24, 48_000], [28, 96_000], [40, size - 44]].forEach(([at, value]) => head.setUint32(at, value, true));
[[20, 1], [22, 1], [32, 2], [34, 16]].forEach(([at, value]) => head.setUint16(at, value, true));
text(36, "data");

const address = await fal.storage.upload(new Blob([head, new Uint8Array(size - 44)], { type: "audio/wav" }));
console.log(address, size);
