// Applies decisions; start several, and they share the work:
// AMQP_URL=amqp://localhost node rabbitmq_worker.mjs
import { setTimeout as sleep } from "node:timers/promises";
import amqp from "amqplib";
import { apply } from "./decisions.mjs";

const queue = `${process.env.GROUP ?? "gallery"}.decisions`;

const work = async (connection) => {
  const end = () => connection.close().catch(() => {}); // it may be closed already
  connection.on("error", (error) => console.error(`waiting: ${error.message}`)); // "close" follows
  const closed = new Promise((resolve) => connection.on("close", resolve));
  const patience = setTimeout(end, 20_000); // just after its start, a server may leave a call unanswered
  const channel = await connection.createChannel();
  channel.on("error", end);
  await channel.prefetch(100);
  await channel.assertExchange("image-moderation", "topic", { durable: true });
  await channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "quorum" } });
  for (const key of ["image.blocked", "image.unblocked"]) {
    await channel.bindQueue(queue, "image-moderation", key);
  }
  await channel.consume(queue, (message) => {
    if (!message) return end(); // the queue was deleted
    apply(message.content);
    channel.ack(message); // what a worker has not acked as it dies, the server gives to another
  });
  clearTimeout(patience);
  await closed;
};

while (true) {
  try {
    await work(await amqp.connect(process.env.AMQP_URL));
  } catch (error) {
    console.error(`waiting: ${error.message}`);
  }
  await sleep(1000);
}
