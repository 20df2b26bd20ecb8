// Applies decisions; start several, and they share the work:
// KAFKA_BROKERS=localhost:9092 node kafka_worker.mjs
import { setTimeout as sleep } from "node:timers/promises";
import { Kafka, logLevel } from "kafkajs";
import { apply } from "./decisions.mjs";

const kafka = new Kafka({
  brokers: process.env.KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR, retry: { maxRetryTime: 5000 },
});

const work = async (consumer) => {
  // After most errors the client goes on by itself, after others it stops.
  const stopped = new Promise((_, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => { if (!payload.restart) reject(payload.error); });
  });
  await consumer.connect();
  await consumer.subscribe({ topics: ["image.blocked", "image.unblocked"], fromBeginning: true });
  // An offset is committed only after `eachMessage` has ended.
  await consumer.run({ eachMessage: async ({ message }) => apply(message.value) });
  await stopped;
};

while (true) {
  const consumer = kafka.consumer({
    groupId: process.env.GROUP ?? "gallery", sessionTimeout: 1000 * (process.env.TAKE_OVER_AFTER ?? 30),
    maxWaitTimeInMs: 500, // a fetch that waits delays taking over
  });
  await work(consumer).catch((error) => console.error(`waiting: ${error.message}`));
  await consumer.disconnect().catch(() => {}); // it may be closed already
  await sleep(1000);
}
