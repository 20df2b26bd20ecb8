"""Reports for a producer to send."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4


def reports() -> Iterator[tuple[str, str, bytes]]:
    """Return image id, event id and event for each line of standard input.

    A line is an event's `data`: {"image_id": "img-42", "reporter_id": "user-7", "reason": "nudity"}
    """
    for line in sys.stdin:
        event = {
            "specversion": "1.0",
            "id": str(uuid4()),
            "source": "/gallery",
            "type": "image.reported.v1",
            "time": datetime.now(UTC).isoformat(),
            "datacontenttype": "application/json",
            "data": json.loads(line),
        }
        yield event["data"]["image_id"], event["id"], json.dumps(event).encode()
