"""Changes a JSON document as a whole: bytes that are changed at random are seldom JSON."""

import copy
import json
import random
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e308, 10**400, [], {}, [[]], {"a": {}}),
    *("", " ", "1.0", "null", "img-42", "user-7", "upheld", "cleared", "nudity", "-a", "a.b_c-9", "A", "é"),
    *("a" * 64, "a" * 65, "a" * 256, "a" * 257, "é" * 512, "a" * 513, "a" * 1024, "a" * 1025),
    *(
        "\x00",
        "a\n",
        "\x7f",
        "\x85",
        "\u2028",
        "\ufeff",
        "\ud800",
        "\udfff",
        "\U0001f600",
        "\u202e\u05d0",
        "\\",
        '"',
    ),
    *("2026-11-23T10:00:00Z", "2026-02-30T10:00:00Z", "0001-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z"),
    *(
        "9999-12-31T23:59:59-23:59",
        "2026-11-23t10:00:00.1234567891z",
        "2026-11-23 10:00:00+00:00",
        "2026-11-23",
    ),
    *("2026-11-23T24:00:00Z", "2026-11-23T10:00:60Z", "1795428000000", "\uff12026-11-23T10:00:00Z"),
    *("image.reported.v1", "image.report-retracted.v1", "image.reviewed.v1", "image.blocked.v1"),
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)
NAMES = (
    *(
        "specversion",
        "id",
        "source",
        "type",
        "time",
        "data",
        "datacontenttype",
        "traceparent",
        "headers",
        "x",
    ),
    *("image_id", "reporter_id", "reason", "reporter_group", "verdict", "moderator_id", "x"),
)


def changed(body: bytes, rng: random.Random) -> bytes | None:
    """Return the document in `body` after a few changes; None if it is no JSON."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    root = [document]
    for _ in range(rng.randint(1, 3)):
        _change(root, rng)
    try:
        return json.dumps(root[0], ensure_ascii=rng.random() < 0.5).encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(root[0]).encode()


def _change(root: list[Any], rng: random.Random) -> None:
    """Go down to some place, and put, change or remove something there."""
    place: Any = root
    key: Any = 0
    while isinstance(place[key], dict | list) and place[key] and rng.random() < 0.8:
        place = place[key]
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
    what = rng.random()
    if what < 0.15 and place is not root:
        del place[key]
    elif what < 0.3 and isinstance(place, dict):
        place[rng.choice(NAMES)] = copy.deepcopy(rng.choice(VALUES))
    elif what < 0.6 and isinstance(place[key], str):
        at = rng.randint(0, len(place[key]))
        piece = rng.choice([value for value in VALUES if isinstance(value, str)])
        place[key] = place[key][:at] + piece + place[key][at + rng.randint(0, 3) :]
    else:
        place[key] = copy.deepcopy(rng.choice(VALUES))
