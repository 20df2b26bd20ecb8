"""`report`: one event, or a file of them."""

import json
import subprocess
from pathlib import Path

import redis

from image_moderation.domain.report import Report
from image_moderation.wiring import clock
from tests.support.command_line import Call, Result, subprocess_of
from tests.support.redis_streams import parsed, stream
from tests.support.waiting import wait_until

REPORTED = "image.reported"


def reported(client: redis.Redis) -> list[Report]:
    """The events on the report stream, by the service's own parser."""
    return [one for one in parsed(client, REPORTED) if isinstance(one, Report)]


def test_a_report_is_an_event_that_the_service_takes(cli: Call, client: redis.Redis) -> None:
    before = clock()
    result = cli("report", "img-42", "--reporter", "user-7", "--reason", "nudity", "--group", "g1")
    [(_, fields)] = stream(client, REPORTED)
    assert list(fields) == [b"__data__"]
    assert result == Result(0, f"{json.loads(fields[b'__data__'])['id']}\n", "")
    [report] = reported(client)
    assert report[:2] + report[4:] == ("img-42", "user-7", "nudity", "g1", False, None)
    assert before <= report.time <= clock()


def test_a_report_without_a_reporter_is_by_a_fresh_one(cli: Call, client: redis.Redis) -> None:
    first, second = cli("report", "img-42", "--json"), cli("report", "img-42", "--json")
    one, other = reported(client)
    assert one.reporter_id != other.reporter_id
    assert first.json["id"] != second.json["id"]
    assert first.json["position"] == stream(client, REPORTED)[0][0].decode()
    assert one.reporter_id not in first.out


def test_a_report_can_be_taken_back(cli: Call, client: redis.Redis) -> None:
    assert cli("report", "img-42", "--reporter", "user-7", "--retract").code == 0
    [retraction] = reported(client)
    assert (retraction.reporter_id, retraction.retracted) == ("user-7", True)


def test_a_file_of_reports_is_published_but_for_its_bad_lines(
    cli: Call, client: redis.Redis, tmp_path: Path
) -> None:
    whole = (
        '{"specversion":"1.0", "id":"e1","source":"/s","type":"image.reported.v1",'
        '"time":"2026-01-01T00:00:00Z","data":{"image_id":"a","reporter_id":"r1"},"extra":[1]}'
    )
    lines = [
        whole,
        '{"image_id": "b", "reporter_id": "r2", "reason": "spam", "reporter_group": "g"}',
        "",
        "{not json",
        '{"image_id": "b"}',
        '{"image_id": "b", "reporter_id": "r3", "reporter": "x"}',
        '{"image_id": "b", "reporter_id": "r3", "reason": ""}',
        '{"image_id": "b", "reporter_id": 3}',
        '["image_id"]',
        whole.replace("image.reported.v1", "image.liked.v1"),
        '{"image_id": "c", "reporter_id": "r4"}',
    ]
    path = tmp_path / "reports.jsonl"
    path.write_text("\n".join(lines))
    result = cli("report", "--file", str(path))
    assert (result.code, result.out) == (1, "3 published, 7 refused\n")
    numbers = [line.partition(":")[0] for line in result.err.splitlines()]
    assert numbers == [f"line {number}" for number in range(4, 11)] + ["7 of 11 lines were refused"]
    bodies = [fields[b"__data__"] for _, fields in stream(client, REPORTED)]
    assert bodies[0] == whole.encode()
    assert [(one.image_id, one.reporter_id, one.reason, one.group) for one in reported(client)] == [
        ("a", "r1", "unspecified", None),
        ("b", "r2", "spam", "g"),
        ("c", "r4", "unspecified", None),
    ]


def test_a_file_without_bad_lines_exits_0(cli: Call, client: redis.Redis, tmp_path: Path) -> None:
    path = tmp_path / "reports.jsonl"
    path.write_text("".join(f'{{"image_id": "img-{n}", "reporter_id": "r"}}\n' for n in range(5_000)))
    result = cli("report", "--file", str(path), "--json")
    assert result.code == 0
    assert result.json == {"published": 5_000, "refused": []}
    assert [one.image_id for one in reported(client)] == [f"img-{n}" for n in range(5_000)]


def test_a_file_that_can_not_be_read(cli: Call, tmp_path: Path) -> None:
    missing = cli("report", "--file", str(tmp_path / "none.jsonl"))
    assert missing == Result(1, "", f"{tmp_path}/none.jsonl: can't be read: No such file or directory\n")
    assert cli("report", "--file", str(tmp_path)).code == 1


def test_a_pipe_is_published_as_it_is_written(redis_url: str, client: redis.Redis) -> None:
    with subprocess_of("report", "--file", "-", broker=redis_url, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b'{"image_id": "a", "reporter_id": "r1"}\n{"image_id": ')
        process.stdin.flush()
        wait_until(lambda: client.xlen(REPORTED) == 1, "the first line is published", 30)
        out, _ = process.communicate(b'"b", "reporter_id": "r2"}', timeout=60)
    assert (process.returncode, out) == (0, b"2 published, 0 refused\n")
    assert [one.image_id for one in reported(client)] == ["a", "b"]
