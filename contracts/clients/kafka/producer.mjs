// Reports an image for one person: KAFKA_BROKERS=localhost:9092 node producer.mjs IMAGE REPORTER
import { randomUUID } from "node:crypto";
import { Kafka, logLevel } from "kafkajs";

const [image_id, reporter_id] = process.argv.slice(2);
const event = {
  specversion: "1.0", id: randomUUID(), source: "/gallery", type: "image.reported.v1",
  time: new Date().toISOString(), datacontenttype: "application/json",
  data: { image_id, reporter_id, reason: "nudity" },
};
const kafka = new Kafka({ brokers: process.env.KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR });
const producer = kafka.producer({ allowAutoTopicCreation: false });
await producer.connect();
// The key keeps an image's reports on one partition. The service doesn't need it, but works a little less.
await producer.send({
  topic: "image.reported", acks: -1, messages: [{ key: image_id, value: JSON.stringify(event) }],
});
await producer.disconnect();
