// Applies decisions; start several, and they share the work:
// REDIS_URL=redis://localhost:6379 node redis_worker.mjs
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";
import { apply } from "./decisions.mjs";

const group = process.env.GROUP ?? "gallery", worker = `${hostname()}-${process.pid}`;
const takeOverAfter = 1000 * (process.env.TAKE_OVER_AFTER ?? 30); // longer than applying 100 takes
const channels = ["image.blocked", "image.unblocked"];
const client = createClient({ url: process.env.REDIS_URL });
client.on("error", (error) => console.error(`waiting: ${error.message}`)); // it connects again by itself

const work = async (channel, entries) => {
  for (const entry of entries) {
    if (!entry) continue; // null from Redis 6.2 if it was deleted
    apply(entry.message.__data__);
    await client.xAck(channel, group, entry.id);
  }
};

await client.connect();
while (true) {
  try {
    for (const channel of channels) {
      await client.xGroupCreate(channel, group, "0", { MKSTREAM: true }).catch((error) => {
        if (!error.message.startsWith("BUSYGROUP")) throw error; // the group is there already
      });
    }
    while (true) {
      for (const channel of channels) { // given to a worker that died, or while the server died
        const { messages } = await client.xAutoClaim(channel, group, worker, takeOverAfter, "0-0");
        await work(channel, messages);
      }
      const unread = channels.map((key) => ({ key, id: ">" }));
      const found = await client.xReadGroup(group, worker, unread, { COUNT: 100, BLOCK: 2000 });
      for (const { name, messages } of found ?? []) await work(name, messages);
    }
  } catch (error) {
    console.error(`waiting: ${error.message}`);
    await sleep(1000);
  }
}
