"""`backtest`: its numbers are those of the running service, on files and on what each broker holds."""

import gzip
import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from image_moderation.brokers.kafka import history as kafka_history
from image_moderation.wiring import clock
from tests.benchmarks.load import sample
from tests.support.brokers.harness import Harness
from tests.support.command_line import Call
from tests.support.redis_streams import stream
from tests.support.service_process import ServiceProcess
from tests.support.terminal import terminal
from tests.support.waiting import wait_until

REPORTED, REVIEWED = "image.reported", "image.reviewed"
PLAIN = {"MODERATION_BLOCK_THRESHOLD": "5", "MODERATION_BATCH_SIZE": "5000"}
STAFFED = {
    "MODERATION_BLOCK_THRESHOLD": "8",
    "MODERATION_REVIEW_THRESHOLD": "3",
    "MODERATION_URGENT_REASONS": "hate",
    "MODERATION_BATCH_SIZE": "5000",
}
SETTINGS = {"plain": PLAIN, "staffed": STAFFED}


def event(kind: str, number: int, **data: str) -> bytes:
    attributes = {"specversion": "1.0", "id": f"{kind}-{number}", "source": "/s", "type": f"image.{kind}.v1"}
    return json.dumps({**attributes, "time": "2026-01-01T00:00:00Z", "data": data}).encode()


def report(image: str, number: int) -> bytes:
    return event("reported", number, image_id=image, reporter_id=f"user-{number}")


def verdict(image: str, given: str) -> bytes:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"verdict-{image}",
            "source": "/s",
            "type": "image.reviewed.v1",
            "data": {"image_id": image, "verdict": given},
        }
    ).encode()


def env_files(folder: Path) -> list[str]:
    """The arguments for both settings."""
    for name, variables in SETTINGS.items():
        lines = [f"{variable}={value}\n" for variable, value in variables.items()]
        (folder / f"{name}.env").write_text("".join(lines))
    return [part for name in SETTINGS for part in ("--settings", f"{name}={folder / name}.env")]


def outcomes(service: ServiceProcess) -> Counter[str]:
    """The service's own count of reports and verdicts, by outcome."""
    text = service.get("/metrics")[1]
    found = re.findall(r'^moderation_(?:reports|verdicts)_total\{outcome="(\w+)"\} (\S+)', text, re.MULTILINE)
    counted: Counter[str] = Counter()
    for outcome, value in found:
        counted[outcome] += int(float(value))
    return +counted


def data_of(client: redis.Redis, channel: str) -> list[dict[str, Any]]:
    return [json.loads(fields[b"__data__"])["data"] for _, fields in stream(client, channel)]


def lines_of(client: redis.Redis) -> list[str]:
    """What contracts/README.md has recorded of each stream, but for bodies that are not UTF-8."""
    return [
        json.dumps(
            {
                "arrived": int(position.partition(b"-")[0]),
                "channel": channel,
                "body": fields[b"__data__"].decode(),
            }
        )
        for channel in (REPORTED, REVIEWED)
        for position, fields in stream(client, channel)
        if b"\xe9" not in fields[b"__data__"]
    ]


@pytest.mark.parametrize("name", SETTINGS)
def test_its_numbers_are_those_of_the_service_under_that_setting(
    cli: Call, client: redis.Redis, redis_url: str, tmp_path: Path, name: str
) -> None:
    messages = sample(1_500, seed=7, now=clock())
    for channel in (REPORTED, REVIEWED):
        client.xgroup_create(channel, "recorder", "0", mkstream=True)  # so that nothing is trimmed
    with client.pipeline(transaction=False) as pipeline:
        for message in messages:
            pipeline.xadd(REPORTED, {"__data__": message.body})
        pipeline.execute()
    service = ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": redis_url, **SETTINGS[name]})
    with service:
        wait_until(lambda: outcomes(service).total() == len(messages), "all reports are processed", 30)
        judged = sorted({data["image_id"] for data in data_of(client, "image.blocked")})[:20]
        for number, image in enumerate([*judged, "img-unreported"]):
            given = "upheld" if number % 4 == 0 else "cleared"
            client.xadd(REVIEWED, {"__data__": verdict(image, given)})
        total = len(messages) + len(judged) + 1
        wait_until(lambda: outcomes(service).total() == total, "all verdicts are processed", 30)
        counted, metrics = outcomes(service), service.get("/metrics")[1]
        wait_until(lambda: "moderation_outbox_pending 0.0" in service.get("/metrics")[1], "all is published")
    blocks, unblocks, reviews = (
        data_of(client, f"image.{kind}") for kind in ("blocked", "unblocked", "review-requested")
    )
    automatic = [data for data in blocks if data["automated"]]
    assert len(automatic) >= 20, "the sample has something to compare"

    arguments = env_files(tmp_path)
    found = cli("backtest", "--from-broker", "--json", "--differences", "1000", *arguments).json
    mine, other = sorted(found["settings"], key=lambda one: one["name"] != name)
    assert mine["policy"] == automatic[0]["policy"] != other["policy"]
    assert f'moderation_policy_info{{hash="{mine["policy"]}"}} 1.0' in metrics
    assert (mine["blocks"], mine["blocks_by_moderators"]) == (len(automatic), len(blocks) - len(automatic))
    assert mine["images_blocked"] == len({data["image_id"] for data in automatic})
    assert mine["unblocks"] == mine["blocks_overturned"] == len(unblocks) == 15
    assert mine["blocks_upheld"] == 5
    assert mine["reviews_by_trigger"] == Counter(data["trigger"] for data in reviews)
    refused = {"dead_letter": sum(one["count"] for one in found["recording"]["refused"])}
    assert mine["outcomes"] | refused == counted
    listed = {one["image_id"]: one["settings"][name]["blocked"] for one in found["differences"]}
    assert len(listed) == found["images_that_differ"] >= 5
    by_service = {data["image_id"] for data in automatic}
    assert listed == {image: image in by_service for image in listed}

    recording = tmp_path / "reports.jsonl.gz"
    recording.write_bytes(gzip.compress("\n".join(lines_of(client)).encode()))
    from_file = cli("backtest", str(recording), "--json", *arguments)
    assert from_file.json["settings"] == found["settings"]


@pytest.fixture
def on_broker(call: Call, broker: Harness) -> Call:
    return partial(call, broker_url=broker.url, store_url="redis://127.0.0.1:1", block_threshold="3")


def test_what_a_broker_holds_is_replayed_and_stays(
    on_broker: Call, broker: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_history, "MOST_WAITING", 50)  # so that partitions are paused
    if not broker.features.keeps_what_was_read:
        result = on_broker("backtest", "--from-broker")
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
        assert "record the reports in a file" in result.err
        return
    assert "there are no reports" in on_broker("backtest", "--from-broker").err
    many = [report(f"img-{number % 400}", number) for number in range(1_200)]
    broker.publish(REPORTED, [*many, b"no event"])
    broker.publish(REVIEWED, [event("reviewed", 0, image_id="img-1", verdict="upheld")])
    first = on_broker("backtest", "--from-broker", "--json")
    assert first.code == 0, first.err
    recording, (measures,) = first.json["recording"], first.json["settings"]
    assert (recording["events"], recording["out_of_order"]) == (1_201, 0)
    assert (measures["blocks"], measures["blocks_upheld"]) == (400, 1)
    assert [one["reason"] for one in recording["refused"]] == ["not_json"]
    assert on_broker("backtest", "--from-broker", "--json").out == first.out, "nothing was consumed"


# --- the command


def recorded(path: Path, *images: Sequence[Any]) -> Path:
    """A file in which each image is reported by so many people."""
    lines = [report(image, number) for image, people in images for number in range(people)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def test_a_table_with_the_settings_side_by_side(call: Call, tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.jsonl", ("img-1", 6), ("img-2", 9), ("img-3", 1))
    result = call("backtest", str(path), *env_files(tmp_path), "--differences", "5")
    assert (result.code, result.err) == (0, "")
    table = dict(line.split("\t", 1) for line in result.out.splitlines() if "\t" in line)
    assert table[""] == "plain\tstaffed"
    assert table["images reported"] == "3\t3"
    assert table["images blocked"] == "2\t1"
    assert table["reviews asked for"] == "0\t2"
    assert result.out.splitlines()[-4:] == [
        "images on which the settings differ: 1",
        "img-1: 6 reports",
        "  plain: blocked 2026-01-01T00:00:00.000Z by 5 of 5 reporters",
        "  staffed: not blocked: at most 6 of 8 reporters counted together; 1 review asked for",
    ]


def test_the_environments_settings_are_the_default(call: Call, tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.jsonl", ("img-1", 3), ("img-2", 2))
    (alone,) = call("backtest", str(path), "--json", block_threshold="3").json["settings"]
    assert (alone["name"], alone["blocks"]) == ("environment", 1)
    config = call("config", "--json", block_threshold="3", broker_url="redis://localhost").json
    assert alone["policy"] == config["policy"]
    (tmp_path / "two.env").write_text("MODERATION_BLOCK_THRESHOLD=2\n")
    both = ("--settings", "now", "--settings", f"two={tmp_path / 'two.env'}")
    found = call("backtest", str(path), "--json", *both, block_threshold="3").json["settings"]
    assert [(one["name"], one["blocks"]) for one in found] == [("now", 1), ("two", 2)]


def test_lines_that_can_not_be_read_are_counted_with_their_numbers(call: Call, tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.jsonl", ("img-1", 5))
    path.write_bytes(path.read_bytes() + b"no\n{}\n" + b"no\n" * 9)
    result = call("backtest", str(path))
    assert result.code == 0
    places = ", ".join(f"a.jsonl:{number}" for number in (6, 8, 9, 10, 11))
    first, second = result.err.splitlines()
    assert first.startswith(f"10 left out: not_json ({places}, …): a value was expected")
    assert second.startswith("1 left out: not_an_event (a.jsonl:7): required attributes are missing")
    path.write_bytes(b"no\n")
    assert call("backtest", str(path)).code == 1


def test_a_bar_shows_how_far_it_is(call: Call, tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.jsonl", ("img-1", 3_000))
    with terminal() as screen:
        result = call("backtest", str(path))
    assert b"replaying" in screen.written, "there was a bar"
    assert (result.code, screen.lines) == (0, [])


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_plot(call: Call, tmp_path: Path, suffix: str) -> None:
    path, out = recorded(tmp_path / "a.jsonl", ("img-1", 6), ("img-2", 9)), tmp_path / f"out.{suffix}"
    result = call("backtest", str(path), *env_files(tmp_path), "--plot", str(out))
    assert result.code == 0, result.err
    assert out.read_bytes().startswith({"png": b"\x89PNG", "svg": b"<?xml"}[suffix])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("MODERATION_BLOCK_TRESHOLD=5", "MODERATION_BLOCK_TRESHOLD: unknown variable; did you mean"),
        ("MODERATION_BLOCK_THRESHOLD=none", "MODERATION_BLOCK_THRESHOLD: got 'none'; takes"),
        ("MODERATION_REVIEW_THRESHOLD=5", "MODERATION_REVIEW_THRESHOLD: got 5, which is not below"),
        ("A=1\nnot a line", "line 2: takes NAME=value"),
    ],
)
def test_a_file_of_settings_is_checked_as_the_environment_is(
    call: Call, tmp_path: Path, content: str, says: str
) -> None:
    file = tmp_path / "bad.env"
    file.write_text(content)
    result = call("backtest", str(recorded(tmp_path / "a", ("i", 1))), "--settings", f"bad={file}")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert result.err.startswith(f"{file}: ")
    assert says in result.err


def test_a_damaged_file_is_one_line_and_exits_1(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(report("img-1", 1) * 1_000)[:-9])
    result = call("backtest", str(path))
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"{path}: can't be read: ")
    assert result.err.count("\n") == 1
