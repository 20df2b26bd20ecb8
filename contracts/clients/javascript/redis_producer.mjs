// Sends each line of standard input as a report: REDIS_URL=redis://localhost:6379 node redis_producer.mjs
import { createClient } from "redis";
import { reports, untilStored } from "./reports.mjs";

const client = createClient({ url: process.env.REDIS_URL });
client.on("error", (error) => console.error(`waiting: ${error.message}`)); // it connects again by itself
await client.connect();
for await (const event of reports()) {
  await untilStored(() => client.xAdd("image.reported", "*", { __data__: JSON.stringify(event) }));
  console.log("reported", event.data.image_id);
}
await client.close();
