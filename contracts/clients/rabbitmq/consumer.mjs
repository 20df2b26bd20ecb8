// Prints what is to be blocked and unblocked: AMQP_URL=amqp://localhost node consumer.mjs
import amqp from "amqplib";

const acts = { "image.blocked.v1": "block", "image.unblocked.v1": "unblock" };
const applied = new Map(); // the last decided_at of each image; belongs where the images are kept

const connection = await amqp.connect(process.env.AMQP_URL);
const channel = await connection.createChannel();
await channel.assertExchange("image-moderation", "topic", { durable: true });
await channel.assertQueue("gallery.decisions", { durable: true, arguments: { "x-queue-type": "quorum" } });
for (const key of ["image.blocked", "image.unblocked"]) {
  await channel.bindQueue("gallery.decisions", "image-moderation", key);
}
await channel.prefetch(100);
await channel.consume("gallery.decisions", (message) => {
  const { type, data } = JSON.parse(message.content.toString());
  if (type in acts && data.decided_at > (applied.get(data.image_id) ?? "")) {
    applied.set(data.image_id, data.decided_at);
    console.log(acts[type], data.image_id);
  }
  channel.ack(message);
});
