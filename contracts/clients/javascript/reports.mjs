// Reports for a producer to send, one for each line of standard input.
// A line is an event's `data`: {"image_id": "img-42", "reporter_id": "user-7", "reason": "nudity"}
import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";

export async function* reports() {
  for await (const line of createInterface({ input: process.stdin })) {
    yield {
      specversion: "1.0", id: randomUUID(), source: "/gallery", type: "image.reported.v1",
      time: new Date().toISOString(), datacontenttype: "application/json", data: JSON.parse(line),
    };
  }
}

// Calls `send` until it succeeds. A repetition has the same id and time, so it counts once.
export async function untilStored(send) {
  while (true) {
    try {
      return await send();
    } catch (error) {
      console.error(`waiting: ${error.message}`);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}
