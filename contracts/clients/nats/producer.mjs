// Reports an image for one person: NATS_URL=nats://localhost node producer.mjs IMAGE REPORTER
import { randomUUID } from "node:crypto";
import { connect } from "nats";

const [image_id, reporter_id] = process.argv.slice(2);
const event = {
  specversion: "1.0", id: randomUUID(), source: "/gallery", type: "image.reported.v1",
  time: new Date().toISOString(), datacontenttype: "application/json",
  data: { image_id, reporter_id, reason: "nudity" },
};
const connection = await connect({ servers: process.env.NATS_URL });
// Published to the stream and not just to the subject: it answers once the report is stored.
await connection.jetstream().publish("image.reported", JSON.stringify(event));
await connection.close();
