// Applies decisions; start several, and they share the work:
// NATS_URL=nats://localhost node nats_worker.mjs
import { setTimeout as sleep } from "node:timers/promises";
import { AckPolicy, connect, nanos } from "nats";
import { apply } from "./decisions.mjs";

const group = process.env.GROUP ?? "gallery";
const takeOverAfter = 1000 * (process.env.TAKE_OVER_AFTER ?? 30); // longer than applying what is in hand takes
const connection = await connect({
  servers: process.env.NATS_URL, maxReconnectAttempts: -1, waitOnFirstConnect: true,
});

const follow = async (channel) => {
  const durable_name = `${group}-${channel.replace(".", "-")}`; // one for all workers
  const manager = await connection.jetstreamManager();
  await manager.consumers.add("IMAGE_MODERATION", {
    durable_name, filter_subject: channel, ack_policy: AckPolicy.Explicit, ack_wait: nanos(takeOverAfter),
  });
  const consumer = await connection.jetstream().consumers.get("IMAGE_MODERATION", durable_name);
  while (true) {
    for await (const message of await consumer.fetch({ max_messages: 100, expires: 2000 })) {
      apply(message.string());
      message.ack();
    }
  }
};

await Promise.all(["image.blocked", "image.unblocked"].map(async (channel) => {
  while (true) {
    await follow(channel).catch((error) => console.error(`waiting: ${error.message}`));
    await sleep(1000);
  }
}));
