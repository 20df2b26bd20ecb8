// Sends each line of standard input as a report: KAFKA_BROKERS=localhost:9092 node kafka_producer.mjs
import { Kafka, logLevel } from "kafkajs";
import { reports, untilStored } from "./reports.mjs";

const kafka = new Kafka({ brokers: process.env.KAFKA_BROKERS.split(","), logLevel: logLevel.ERROR });
const producer = kafka.producer({ allowAutoTopicCreation: false });
await untilStored(() => producer.connect());
for await (const event of reports()) {
  // The key keeps an image's reports on one partition. The service doesn't need it, but works a little less.
  const messages = [{ key: event.data.image_id, value: JSON.stringify(event) }];
  await untilStored(() => producer.send({ topic: "image.reported", acks: -1, messages }));
  console.log("reported", event.data.image_id);
}
await producer.disconnect();
