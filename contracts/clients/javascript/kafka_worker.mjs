// Applies decisions; start several, and they share the work:
// KAFKA_BROKERS=localhost:9092 node kafka_worker.mjs
import { Kafka, logLevel } from "kafkajs";
import { apply } from "./decisions.mjs";

const kafka = new Kafka({
  brokers: process.env.KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR,
  retry: { retries: Number.MAX_SAFE_INTEGER, maxRetryTime: 5000 }, // it connects again by itself, however late
});
const consumer = kafka.consumer({
  groupId: process.env.GROUP ?? "gallery", sessionTimeout: 1000 * (process.env.TAKE_OVER_AFTER ?? 30),
});
await consumer.connect();
await consumer.subscribe({ topics: ["image.blocked", "image.unblocked"], fromBeginning: true });
// An offset is committed only after `eachMessage` has ended.
await consumer.run({ eachMessage: async ({ message }) => apply(message.value) });
