// The site's record of which images are blocked, in its own database, and the rule by which it changes.
import Database from "libsql"; // SQLite; better-sqlite3 has the same calls

const acts = { "image.blocked.v1": "block", "image.unblocked.v1": "unblock" };
const database = new Database(process.env.SITE_DATABASE ?? "site.db");
database.exec("PRAGMA busy_timeout = 30000");
database.exec(`CREATE TABLE IF NOT EXISTS moderation
  (image_id TEXT PRIMARY KEY, blocked INTEGER NOT NULL, decided_at TEXT NOT NULL)`);
// A newer decision wins; an older one, or the same again, changes no row. PostgreSQL takes this statement, too.
const rule = database.prepare(`
  INSERT INTO moderation (image_id, blocked, decided_at) VALUES (?, ?, ?)
  ON CONFLICT (image_id) DO UPDATE SET blocked = excluded.blocked, decided_at = excluded.decided_at
  WHERE excluded.decided_at > moderation.decided_at`);

// Applies one event; acknowledge it to the broker afterwards.
export function apply(body) {
  const { type, data } = JSON.parse(body);
  const act = acts[type];
  if (!act) return; // other types change nothing, also those of a later version
  const { changes } = rule.run(data.image_id, act === "block" ? 1 : 0, data.decided_at);
  if (changes) console.log(act, data.image_id);
}
