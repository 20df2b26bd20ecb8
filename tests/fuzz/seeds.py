"""Where a fuzzer of the parser begins: every example of the contract, in structured and in binary mode."""

import json
from collections.abc import Iterator
from pathlib import Path

from tests.support.parser_oracle import write

EXAMPLES = Path(__file__).parents[2] / "contracts" / "examples"
MODES = ("ce_", "ce-", "cloudEvents:", "cloudEvents_")


def seeds() -> Iterator[tuple[str, bytes]]:
    """Give each seed with its name."""
    for file in sorted(EXAMPLES.glob("*valid/*.json")):
        if file.name == "expected.json" or file.name.endswith((".repeat.json", ".entry.json")):
            continue
        body, review = file.read_bytes(), file.name.startswith("reviewed")
        yield file.stem, write(body, review=review)
        yield f"{file.stem}-unstamped", write(body, review=review, stamp=False)
        try:
            event = json.loads(body)
        except ValueError:
            continue
        if not isinstance(event, dict) or "data" not in event:
            continue
        for mode in MODES:
            headers = {f"{mode}{name}": f"{value}" for name, value in event.items() if name != "data"}
            binary = json.dumps(event["data"]).encode()
            yield f"{file.stem}-{mode.strip(':')}", write(binary, headers, review=review)
            # As AMQP's own type for times arrives.
            typed = headers | {
                f"{mode}time": "1795428000000",
                "content-type": "application/json; charset=utf-8",
            }
            yield f"{file.stem}-{mode.strip(':')}-typed", write(binary, typed, review=review)
