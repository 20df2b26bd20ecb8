// Prints what is to be blocked and unblocked: NATS_URL=nats://localhost node consumer.mjs
import { AckPolicy, connect } from "nats";

const acts = { "image.blocked.v1": "block", "image.unblocked.v1": "unblock" };
const applied = new Map(); // the last decided_at of each image; belongs where the images are kept

const connection = await connect({ servers: process.env.NATS_URL });
const manager = await connection.jetstreamManager();
const follow = async (subject) => {
  const durable_name = `gallery-${subject.replace(".", "-")}`;
  await manager.consumers.add("IMAGE_MODERATION", {
    durable_name, filter_subject: subject, ack_policy: AckPolicy.Explicit,
  });
  const consumer = await connection.jetstream().consumers.get("IMAGE_MODERATION", durable_name);
  for await (const message of await consumer.consume()) {
    const { type, data } = message.json();
    if (type in acts && data.decided_at > (applied.get(data.image_id) ?? "")) {
      applied.set(data.image_id, data.decided_at);
      console.log(acts[type], data.image_id);
    }
    message.ack();
  }
};
await Promise.all(["image.blocked", "image.unblocked"].map(follow));
