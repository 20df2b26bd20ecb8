// Sends each line of standard input as a report: NATS_URL=nats://localhost node nats_producer.mjs
import { connect } from "nats";
import { reports, untilStored } from "./reports.mjs";

const connection = await connect({
  servers: process.env.NATS_URL, maxReconnectAttempts: -1, waitOnFirstConnect: true,
});
const jetstream = connection.jetstream();
for await (const event of reports()) {
  // Published to the stream and not just to the subject: it answers once the report is stored.
  await untilStored(() => jetstream.publish("image.reported", JSON.stringify(event)));
  console.log("reported", event.data.image_id);
}
await connection.close();
