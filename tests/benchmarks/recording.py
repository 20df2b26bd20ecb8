"""Writes a recording for `backtest`, of any length: `python -m tests.benchmarks.recording 1000000 > a.jsonl`.

A site of one size: 10,000 reports a day, of 4,000 new images a day. Most images get one or two reports within
two weeks, few get many. One line in twenty is repeated, one in fifty is a verdict. The same number gives the
same bytes.
"""

import json
import random
import sys
from collections.abc import Iterator

BEGIN = 1_700_000_000_000
A_DAY = 10_000
"""Reports."""
NEW = 0.4
"""Images a report."""
RECENT = 56_000
"""Images that may be reported: those of two weeks."""
_REASONS = ("nudity", "spam", "violence", "hate", "copyright")


def lines(count: int, *, seed: int = 1) -> Iterator[str]:
    """Give `count` lines, in the order of arrival."""
    rng = random.Random(seed)
    again = ""
    for number in range(count):
        arrived = BEGIN + number * 86_400_000 // A_DAY
        is_verdict = number % 50 == 25
        rank = int(number * NEW) + RECENT - int(RECENT * rng.random() ** (2 if is_verdict else 4))
        if is_verdict or rng.random() < 0.3:
            rank -= rank % 20  # the few that many people report, and moderators look at
        image = f"img-{rank:010d}"
        if number % 20 == 19:
            yield again
            continue
        if is_verdict:
            kind, data = "reviewed", {"image_id": image, "verdict": rng.choice(("upheld", "cleared"))}
        else:
            reporter = f"user-{rng.randrange(1_000_000):010d}"
            data = {"image_id": image, "reporter_id": reporter, "reason": rng.choice(_REASONS)}
            kind = "reported"
        event = {
            "specversion": "1.0",
            "id": f"{number:032x}",
            "source": "/gallery",
            "type": f"image.{kind}.v1",
        }
        again = json.dumps({"arrived": arrived, **event, "datacontenttype": "application/json", "data": data})
        yield again


if __name__ == "__main__":
    for line in lines(int(sys.argv[1])):
        sys.stdout.write(line + "\n")
