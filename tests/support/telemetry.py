"""What a run of the service must not show, whatever it is run for."""

import json

from prometheus_client.parser import text_string_to_metric_families

AT_REST = {"faststream_received_messages_in_process", "faststream_received_processed_messages_exceptions"}
"""0 by their nature: nothing is in hand, and nothing has failed."""


def still(metrics: str) -> set[str]:
    """Return the families of FastStream's, of a service that has processed something, that did not move."""
    moved: dict[str, bool] = {}
    for family in text_string_to_metric_families(metrics):
        if family.name.startswith("faststream_"):
            values = [one.value for one in family.samples if not one.name.endswith(("_bucket", "_count"))]
            moved[family.name] = any(value > 0 for value in values)
    assert moved["faststream_received_messages"]
    return {name for name, has_moved in moved.items() if not has_moved} - AT_REST


def warnings(log: str) -> list[str]:
    """Return the events above info of a log in which every line must be JSON."""
    lines = [json.loads(line) for line in log.splitlines()]
    return [
        f"{line['event']} {line.get('check', '')} {line.get('error', '')}"
        for line in lines
        if line["level"] not in ("debug", "info")
    ]
