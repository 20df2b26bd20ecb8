"""The site's record of which images are blocked, in its own database, and the rule by which it changes."""

import json
import os
import sqlite3

ACTS = {"image.blocked.v1": "block", "image.unblocked.v1": "unblock"}
# A newer decision wins; an older one, or the same again, changes no row. PostgreSQL takes the same statement.
RULE = """
    INSERT INTO moderation (image_id, blocked, decided_at) VALUES (?, ?, ?)
    ON CONFLICT (image_id) DO UPDATE SET blocked = excluded.blocked, decided_at = excluded.decided_at
    WHERE excluded.decided_at > moderation.decided_at
"""

database = sqlite3.connect(os.environ.get("SITE_DATABASE", "site.db"), timeout=30, isolation_level=None)
database.execute(
    "CREATE TABLE IF NOT EXISTS moderation"
    " (image_id TEXT PRIMARY KEY, blocked INTEGER NOT NULL, decided_at TEXT NOT NULL)"
)


def apply(body: str | bytes) -> None:
    """Apply one event; acknowledge it to the broker afterwards."""
    event = json.loads(body)
    if act := ACTS.get(event["type"]):  # other types change nothing, also those of a later version
        image_id, decided_at = event["data"]["image_id"], event["data"]["decided_at"]
        if database.execute(RULE, (image_id, act == "block", decided_at)).rowcount:
            print(act, image_id, flush=True)
