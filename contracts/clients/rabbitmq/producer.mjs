// Reports an image for one person: AMQP_URL=amqp://localhost node producer.mjs IMAGE REPORTER
import { randomUUID } from "node:crypto";
import amqp from "amqplib";

const [image_id, reporter_id] = process.argv.slice(2);
const event = {
  specversion: "1.0", id: randomUUID(), source: "/gallery", type: "image.reported.v1",
  time: new Date().toISOString(), datacontenttype: "application/json",
  data: { image_id, reporter_id, reason: "nudity" },
};
const connection = await amqp.connect(process.env.AMQP_URL);
const channel = await connection.createConfirmChannel();
// Without a queue bound to it the exchange would drop the report: mandatory sends it back.
let returned = false;
channel.on("return", () => { returned = true; });
channel.publish("image-moderation", "image.reported", Buffer.from(JSON.stringify(event)), {
  persistent: true, mandatory: true, messageId: event.id, contentType: "application/cloudevents+json",
});
await channel.waitForConfirms();
await connection.close();
if (returned) throw new Error("no queue is bound for reports: start the service once");
