// The benchmark's strongest rival: Node.js with ioredis, which runs the service's own scripts with the service's
// guarantees: it parses and validates each report by the contract's schema, knows reporters by a keyed digest, applies a
// batch atomically, publishes each decision once through the outbox, parks malformed messages, and acks last.
//
// It lacks verdicts, retractions' own events, ticks, sweeps, metrics, health, tracing and logs, which makes it faster.
//
//   node handler.mjs CALLS.json    where tests/benchmarks/contestants.py writes the scripts and their fixed arguments

import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import Redis from "ioredis";

const STREAM = "image.reported", DEAD_LETTERS = "image.dead-letter", GROUP = "image-moderation";
const LANES = 8, BATCH = 500, LARGEST = 65_536, PARTITIONS = 64, DAY = 86_400_000;
const BLOCK_EVENT = "image.blocked.v1";
const KIND_REPORT = 0;
const NAMESPACE = Buffer.from("1bbaa33f33a05594bd2de5a3ccf477d2", "hex");

const calls = JSON.parse(readFileSync(process.argv[2], "utf8"));
const ajv = new Ajv({ strict: false });
addFormats(ajv);
const valid = ajv.compile(calls.schema);
const key = Buffer.from(calls.key);
const noGroup = Buffer.alloc(8);
const names = Array.from({ length: PARTITIONS }, (_, n) => `moderation:{p${String(n).padStart(2, "0")}}:`);

const redis = new Redis(process.env.BENCH_URL);

function digest(kind, text) {
  return createHash("blake2b512").update(key).update(kind).update(text).digest().subarray(0, 8);
}

function eventId(name) {
  const hash = createHash("sha1").update(NAMESPACE).update(name).digest();
  hash[6] = (hash[6] & 0x0f) | 0x50;
  hash[8] = (hash[8] & 0x3f) | 0x80;
  const hex = hash.toString("hex", 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

// Returns a report, or why it is none.
function parse(body, arrived, now) {
  if (body === undefined || body.length === 0) return "empty";
  if (body.length > LARGEST) return "too_large";
  if (!isUtf8(body)) return "not_utf8";
  let event;
  try {
    event = JSON.parse(body.toString());
  } catch {
    return "not_json";
  }
  if (!valid(event)) return "invalid";
  const time = event.time === undefined ? arrived : Date.parse(event.time);
  if (time > now + DAY) return "time_in_future";
  return { time: Math.min(time, arrived), data: event.data };
}

// Packs reports as service/image_moderation/store/packing.py says.
function pack(reports, now) {
  const cases = new Map(), outboxes = new Map(), reasons = new Map();
  const events = Buffer.allocUnsafe(reports.length * 28);
  let at = 0;
  for (const { time, data } of reports) {
    const partition = crc32(data.image_id) % PARTITIONS;
    const reason = data.reason ?? "unspecified";
    const name = `${names[partition]}case:${data.image_id}`;
    events.writeUInt16LE(numbered(cases, name), at);
    events[at + 2] = numbered(outboxes, `${names[partition]}outbox`);
    events[at + 3] = KIND_REPORT;
    events.writeUIntLE(time, at + 4, 6);
    digest("reporter", data.reporter_id).copy(events, at + 10);
    (data.reporter_group === undefined ? noGroup : digest("group", data.reporter_group)).copy(events, at + 18);
    events.writeUInt16LE(numbered(reasons, reason), at + 26);
    at += 28;
  }
  const own = {
    now, events, outboxes: outboxes.size, open_until: now + calls.open_for, decided_until: now + calls.decided_for,
    sweep_at: now + 5000, key_prefix: names[0].length + 5,
  };
  const values = calls.order.map((name) => own[name] ?? calls.fixed[name]);
  const keys = [...outboxes.keys(), ...cases.keys()];
  return [calls.apply_sha, keys.length, ...keys, ...values, ...reasons.keys()];
}

function numbered(map, name) {
  const found = map.get(name);
  if (found !== undefined) return found;
  map.set(name, map.size + 1);
  return map.size;
}

function publication(token) {
  const one = JSON.parse(token.toString());
  const decidedAt = new Date(one.decided_at).toISOString();
  const image = one.image_id;
  const body = JSON.stringify({
    specversion: "1.0", id: eventId(`${image}\n${decidedAt}\n${one.revision}\n${BLOCK_EVENT}`),
    source: "/image-moderation", type: BLOCK_EVENT, subject: image, time: decidedAt,
    datacontenttype: "application/json",
    data: {
      image_id: image, revision: one.revision, state: one.state, decided_at: decidedAt, automated: one.automated,
      trigger: one.trigger, distinct_reporters: one.distinct_reporters, threshold: one.threshold,
      reasons: one.reasons, first_reported_at: new Date(one.first_reported_at).toISOString(),
      last_reported_at: new Date(one.last_reported_at).toISOString(), policy: one.policy,
    },
  });
  return [`${names[crc32(image) % PARTITIONS]}outbox`, body];
}

async function work(entries) {
  const now = Date.now(), reports = [], letters = [], ids = [];
  for (const [id, fields] of entries) {
    const position = id.toString();
    ids.push(position);
    const report = parse(fields[1], Number(position.slice(0, position.indexOf("-"))), now);
    if (typeof report === "string") letters.push([position, report, fields[1]]);
    else reports.push(report);
  }
  for (const [position, reason, body] of letters) {
    const letter = { reason, channel: STREAM, position, body: body?.toString("base64") };
    await redis.xadd(DEAD_LETTERS, "*", "__data__", JSON.stringify({ data: letter }));
  }
  const reply = reports.length ? await redis.callBuffer("EVALSHA", ...pack(reports, now)) : [""];
  await redis.xack(STREAM, GROUP, ...ids);
  if (reply.length === 1) return;
  const keys = [], members = [];
  for (let n = 2; n < reply.length; n += 2) {
    const [outbox, body] = publication(reply[n]);
    keys.push(outbox, "image.blocked");
    members.push(reply[n], body);
  }
  await redis.callBuffer("EVALSHA", calls.deliver_sha, keys.length, ...keys, "", ...members);
}

async function lane(number) {
  const reader = new Redis(process.env.BENCH_URL);
  while (true) {
    const reply = await reader.xreadgroupBuffer(
      "GROUP", GROUP, `node-${number}`, "COUNT", BATCH, "BLOCK", 1000, "STREAMS", STREAM, ">");
    if (reply) await work(reply[0][1]);
  }
}

process.on("SIGTERM", () => process.exit(0));
await redis.xgroup("CREATE", STREAM, GROUP, "0", "MKSTREAM").catch((error) => {
  if (!error.message.includes("BUSYGROUP")) throw error;
});
await redis.script("LOAD", calls.apply);
await redis.script("LOAD", calls.deliver);
await Promise.all(Array.from({ length: LANES }, (_, number) => lane(number)));
