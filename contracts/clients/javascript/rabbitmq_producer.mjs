// Sends each line of standard input as a report: AMQP_URL=amqp://localhost node rabbitmq_producer.mjs
import amqp from "amqplib";
import { reports, untilStored } from "./reports.mjs";

const send = async (event) => {
  const connection = await amqp.connect(process.env.AMQP_URL);
  connection.on("error", () => {}); // the calls below fail then
  try {
    const channel = await connection.createConfirmChannel();
    channel.on("error", () => {}); // likewise
    // Without a queue bound to it the exchange would drop the report: mandatory sends it back.
    let returned = false;
    channel.on("return", () => { returned = true; });
    channel.publish("image-moderation", "image.reported", Buffer.from(JSON.stringify(event)), {
      persistent: true, mandatory: true, messageId: event.id, contentType: "application/cloudevents+json",
    });
    await channel.waitForConfirms();
    if (returned) throw new Error("no queue is bound for reports: start the service once");
  } finally {
    await connection.close().catch(() => {}); // it may be closed already
  }
};

for await (const event of reports()) {
  await untilStored(() => send(event));
  console.log("reported", event.data.image_id);
}
