// Prints what is to be blocked and unblocked: KAFKA_BROKERS=localhost:9092 node consumer.mjs
import { Kafka, logLevel } from "kafkajs";

const acts = { "image.blocked.v1": "block", "image.unblocked.v1": "unblock" };
const applied = new Map(); // the last decided_at of each image; belongs where the images are kept

const kafka = new Kafka({ brokers: process.env.KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: "gallery" });
await consumer.connect();
await consumer.subscribe({ topics: ["image.blocked", "image.unblocked"], fromBeginning: true });
await consumer.run({
  eachMessage: async ({ message }) => {
    const { type, data } = JSON.parse(message.value.toString());
    if (!(type in acts) || data.decided_at <= (applied.get(data.image_id) ?? "")) return;
    applied.set(data.image_id, data.decided_at);
    console.log(acts[type], data.image_id);
  },
});
