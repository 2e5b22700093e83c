// Every call of fal's official JavaScript client, with every option that it sends in a header; what came of them.
import { ApiError, ValidationError } from "@fal-ai/client";

const VEO = "fal-ai/veo3.1/fast";
const IMAGE = "fal-ai/nano-banana";
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEklEQVR4nGP8z8DAwMDAxAADAA0WAQX3W0eZAAAAAElFTkSuQmCC";

export const picture = () => new Blob([Uint8Array.from(atob(PIXEL), (each) => each.charCodeAt(0))], { type: "image/png" });

export async function converse(fal, { runs = true } = {}) {
  const said = {};

  const { request_id: requestId } = await fal.queue.submit(VEO, { input: { prompt: "a lake [sim: latency=600ms]" } });
  said.requestId = requestId;
  said.first = (await fal.queue.status(VEO, { requestId })).status;
  const updates = [];
  const done = await fal.queue.subscribeToStatus(VEO, { requestId, logs: true, onQueueUpdate: (each) => updates.push(each) });
  said.last = done.status;
  said.inOrder = updates.every(({ status }) => ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"].includes(status));
  said.logs = updates.at(-1).logs.map(({ message }) => message);
  const result = await fal.queue.result(VEO, { requestId });
  said.video = result.data.video;
  said.sameId = result.requestId === requestId;

  const streamed = await fal.subscribe(VEO, { input: { prompt: "a lake [sim: latency=600ms]" }, mode: "streaming", logs: true });
  said.streamed = streamed.data.video;

  const canceled = await fal.queue.submit(VEO, {
    input: { prompt: "[sim: latency=10m]" },
    priority: "low",
    startTimeout: 60,
    hint: "lake",
    storageSettings: { expiresIn: "1d" },
    headers: { "Idempotency-Key": crypto.randomUUID() },
  });
  await fal.queue.cancel(VEO, { requestId: canceled.request_id });
  said.canceled = await fal.queue
    .subscribeToStatus(VEO, { requestId: canceled.request_id })
    .then(({ error_type }) => error_type);

  said.wrong = await fal.subscribe(VEO, { input: { prompt: "a lake", duration: 9 } }).catch((error) => [
    error instanceof ValidationError,
    error.status,
    error.body.detail[0].loc,
    error.getFieldErrors("duration").length,
  ]);
  said.unknown = await fal.subscribe("fal-ai/no-such-thing", { input: {} }).catch((error) => [
    error instanceof ApiError,
    error.status,
  ]);

  const file = new File([picture()], "a lake.png", { type: "image/png" });
  said.uploaded = await fal.storage.upload(file, { lifecycle: { expiresIn: "1d" } });
  said.shown = (await fetch(said.uploaded)).headers.get("content-type");
  const moved = await fal.subscribe(`${VEO}/image-to-video`, { input: { prompt: "it moves", image_url: picture() } });
  said.fromBlob = moved.data.video;

  if (runs) {
    said.run = (await fal.run(IMAGE, { input: { prompt: "a lake" } })).data.images;
    const stream = await fal.stream(IMAGE, { input: { prompt: "a lake" } });
    said.stream = (await stream.done()).images;
  }
  return said;
}
