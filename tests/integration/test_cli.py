"""The command line against a real server: what it prints, what it changes, how it fails."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from image_moderation.domain.decision import OutboxEntry
from image_moderation.domain.message import DeadLetter, RawMessage
from image_moderation.domain.report import Report, Verdict
from image_moderation.events.parse import parse
from image_moderation.events.render import DEAD_LETTER_BODY_BYTES, dead_letter_id, dead_letter_message
from image_moderation.redis_connection import connect
from image_moderation.settings import Settings
from image_moderation.store.redis_store import Lifetimes, RedisStore
from image_moderation.wiring import clock, policy
from tests.support.command_line import Call, Result
from tests.support.servers import free_port, wait_until
from tests.support.service_process import ROOT, ServiceProcess

REPORTED, REVIEWED, LETTERS = "image.reported", "image.reviewed", "image.dead-letter"
CLOSED = "redis://127.0.0.1:1"
COMMANDS = (
    (),
    ("serve",),
    ("report",),
    ("review",),
    ("watch",),
    ("inspect",),
    ("config",),
    ("contracts",),
    ("dead-letters",),
    ("dead-letters", "list"),
    ("dead-letters", "show"),
    ("dead-letters", "redrive"),
    ("dead-letters", "purge"),
)


Stream = list[tuple[bytes, dict[bytes, bytes]]]


@pytest.fixture
def cli(call: Call, redis_url: str) -> Call:
    """As `call`, with a broker."""

    def run_with(*arguments: str, **variables: str) -> Result:
        return call(*arguments, **{"broker_url": redis_url, **variables})

    return run_with


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as connected:
        yield connected


def stream(client: redis.Redis, name: str) -> Stream:
    return cast("Stream", client.xrange(name))


def reported(client: redis.Redis) -> list[Report]:
    """The events on the report stream, by the service's own parser."""
    return [one for one in taken(client, REPORTED) if isinstance(one, Report)]


def taken(client: redis.Redis, channel: str) -> list[Report | Verdict]:
    return [
        parse(RawMessage(channel, entry.decode(), fields[b"__data__"]), clock(), 65_536)
        for entry, fields in stream(client, channel)
    ]


def park(client: redis.Redis, body: bytes, position: str = "1-0", **headers: str) -> str:
    """Parks a message as the service does, and returns the letter's id."""
    message = RawMessage(REPORTED, position, body, headers=headers)
    event = dead_letter_message(DeadLetter(message, "not_json", "no JSON"), clock()).body
    client.xadd(LETTERS, {"__data__": event})
    return dead_letter_id(REPORTED, position)


async def apply(url: str, *reports: Report, threshold: str = "3", publish: bool = False) -> None:
    """Puts reports into the store, as a service would, which publishes what they decide if told to."""
    settings = Settings.load({"MODERATION_BROKER_URL": url, "MODERATION_BLOCK_THRESHOLD": threshold})
    redis_client = connect(url)
    try:
        store = RedisStore(
            redis_client,
            prefix="moderation",
            policy=policy(settings),
            lifetimes=Lifetimes(decided=86_400_000),
            reporter_key=None,
            clock=clock,
        )
        await store.open()
        entries: Sequence[OutboxEntry] = (await store.apply(reports)).entries
        if publish:
            await store.settle(entries)
    finally:
        await redis_client.aclose()


def report_by(reporter: str, image: str = "img-42", **fields: Any) -> Report:
    now = clock()
    return Report(**{"image_id": image, "reporter_id": reporter, "time": now, "arrived": now, **fields})


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command) or "none")
def test_every_command_explains_itself_with_an_example(call: Call, command: tuple[str, ...]) -> None:
    result = call(*command, "--help")
    assert result.code == 0
    assert "Usage: image-moderation" in result.out
    assert not command or "Example: image-moderation" in result.out


def test_version(call: Call) -> None:
    assert call("--version") == Result(0, "image-moderation 0.1.0\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("report", "--xyz"), "No such option: --xyz. See `image-moderation report --help`."),
        (("reprot",), "Did you mean 'report'?"),
        (("report",), "name an IMAGE"),
        (("report", "img-42", "--retract"), "--reporter"),
        (("report", "img-42", "--retract", "--reporter", "u", "--reason", "spam"), "--reason"),
        (("report", "img-42", "--file", "-"), "--file stands alone"),
        (("report", "img-42", "--reason", "Not A Word"), "data.reason"),
        (("report", ""), "data.image_id"),
        (("report", "img-\udcff"), "not UTF-8"),
        (("review", "img-42"), "--verdict"),
        (("review", "img-42", "--verdict", "maybe"), "'upheld', 'cleared'"),
        (("review", "", "--verdict", "upheld"), "data.image_id"),
        (("review", "img-42", "--verdict", "upheld", "--moderator", ""), "data.moderator_id"),
        (("review", "img-42", "--verdict", "upheld", "--moderator", "m\udcff"), "not UTF-8"),
        (("inspect",), "IMAGE"),
        (("serve", "--data-dir", "/tmp"), "--embedded"),
        (("dead-letters", "redrive"), "name letters by ID, or take --all"),
        (("dead-letters", "redrive", "x", "--all"), "name letters by ID, or take --all"),
        (("dead-letters", "purge", "--all"), "--yes"),
    ],
)
def test_a_wrong_call_is_one_line_and_exits_2(call: Call, arguments: tuple[str, ...], says: str) -> None:
    result = call(*arguments, broker_url=CLOSED)
    assert (result.code, result.out) == (2, "")
    assert says in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "img-42"),
        ("review", "img-42", "--verdict", "upheld"),
        ("watch",),
        ("inspect", "img-42"),
        ("dead-letters", "list"),
        ("dead-letters", "show", "x"),
        ("dead-letters", "redrive", "--all"),
        ("dead-letters", "purge", "--all", "--yes"),
    ],
)
def test_a_server_that_is_away_is_one_line_and_exits_1(call: Call, arguments: tuple[str, ...]) -> None:
    result = call(*arguments, broker_url=CLOSED)
    assert (result.code, result.out) == (1, "")
    assert "is not available" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("command", [("config",), ("report", "img-42"), ("serve",), ("watch",)])
def test_unusable_settings_are_a_line_each_and_exit_2(call: Call, command: tuple[str, ...]) -> None:
    result = call(*command, block_treshold="5", batch_size="none")
    assert (result.code, result.out) == (2, "")
    variables = [line.partition(":")[0] for line in result.err.splitlines()]
    assert variables == [
        "MODERATION_BLOCK_TRESHOLD",
        "MODERATION_BROKER_URL",
        "MODERATION_BATCH_SIZE",
    ]


# config ------------------------------------------------------------------------------------------


def test_config_masks_secrets(call: Call) -> None:
    secrets = {"broker_url": "redis://app:hunter2@h:6379/0", "reporter_key": "k3y-k3y-k3y-k3y-k3y"}
    for arguments in (("config",), ("config", "--json")):
        result = call(*arguments, **secrets, report_window="12h")
        assert result.code == 0
        assert "hunter2" not in result.out
        assert "k3y" not in result.out
    lines = call("config", **secrets).out.splitlines()
    assert "MODERATION_BROKER_URL=redis://app:***@h:6379/0" in lines
    assert "MODERATION_REPORTER_KEY=***" in lines
    assert "MODERATION_DECISION_RETENTION=off" in lines
    assert "MODERATION_BLOCK_THRESHOLD=5" in lines


# contracts ---------------------------------------------------------------------------------------


def test_contracts_names_each_file_that_differs(call: Call, tmp_path: Path) -> None:
    where = ("--dir", str(tmp_path / "contracts"))
    missing = call("contracts", *where)
    assert missing.code == 1
    assert f"{tmp_path}/contracts/asyncapi.json: " in missing.err
    assert call("contracts", "--write", *where).code == 0
    assert call("contracts", *where).code == 0
    (tmp_path / "contracts" / "asyncapi.json").write_text("{}")
    differing = call("contracts", *where, "--json")
    assert differing.code == 1
    assert len(differing.json["differing"]) == 1
    assert differing.err.count("\n") == 1


# report ------------------------------------------------------------------------------------------


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
        wait_until(lambda: client.xlen(REPORTED) == 1, "the first line is published")
        out, _ = process.communicate(b'"b", "reporter_id": "r2"}', timeout=20)
    assert (process.returncode, out) == (0, b"2 published, 0 refused\n")
    assert [one.image_id for one in reported(client)] == ["a", "b"]


# inspect -----------------------------------------------------------------------------------------


def test_inspect_of_an_image_that_nobody_reported(cli: Call) -> None:
    result = cli("inspect", "img-42")
    assert result.code == 0
    assert result.out.startswith("img-42 is not blocked: no report of it is known")
    assert cli("inspect", "img-42", "--json").json["known"] is False


def test_inspect_says_what_is_lacking_and_names_nobody(cli: Call, redis_url: str) -> None:
    reports = [
        report_by("user-1", reason="nudity", group="device-9"),
        report_by("user-2", reason="spam", group="device-9"),
        report_by("user-3", reason="spam"),
        report_by("user-4", retracted=True),
    ]
    asyncio.run(apply(redis_url, *reports))
    result = cli("inspect", "img-42", block_threshold="3")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0].startswith("img-42 is not blocked: 2 of 3 distinct reporters, 1 more until ")
    assert "3 people reported it; those of one group count once." in lines
    assert "Reasons: spam 2, nudity 1." in lines
    assert "Taken back by their reporters: 1." in lines
    assert lines[-4] == "reporter\treported at\treason\tgroup"
    assert all(len(line.split("\t")[0]) == 8 for line in lines[-3:])
    assert "user-" not in result.out
    assert "device-9" not in result.out
    facts = cli("inspect", "img-42", "--json", block_threshold="3").json
    assert (facts["state"], facts["distinct_reporters"], facts["threshold"]) == ("open", 2, 3)
    assert [len(one["reporter"]) for one in facts["reporters"]] == [8, 8, 8]
    assert facts["retractions"] == 1


def test_inspect_says_that_the_round_is_over(cli: Call, redis_url: str) -> None:
    asyncio.run(apply(redis_url, report_by("user-1", time=clock() - 31 * 86_400_000)))
    out = cli("inspect", "img-42").out
    assert "1 of 5 distinct reporters within one window, which ended " in out
    assert "begins a new round" in out


def test_inspect_says_whether_the_decision_has_been_published(cli: Call, redis_url: str) -> None:
    for image, publish in (("img-1", False), ("img-2", True)):
        reports = [report_by(f"user-{n}", image) for n in range(3)]
        asyncio.run(apply(redis_url, *reports, publish=publish))
    waiting = cli("inspect", "img-1").out
    assert waiting.startswith("img-1 is blocked since ")
    assert "revision 1, blocked at" in waiting
    assert "waits in the outbox to be published" in waiting
    assert "3 of 3 distinct reporters (unspecified 3)" in waiting
    assert "has been published" in cli("inspect", "img-2").out
    facts = cli("inspect", "img-1", "--json").json
    assert len(facts["waiting_in_outbox"]) == 1
    assert (facts["blocked"], facts["revision"], facts["distinct_reporters"]) == (True, 1, None)
    assert cli("inspect", "img-2", "--json").json["waiting_in_outbox"] == []


def test_inspect_changes_nothing(cli: Call, client: redis.Redis) -> None:
    cli("inspect", "img-42")
    assert client.dbsize() == 0


def test_inspect_of_a_key_that_holds_no_case(cli: Call, redis_url: str, client: redis.Redis) -> None:
    asyncio.run(apply(redis_url, report_by("user-1")))
    [key] = cast("list[bytes]", client.keys("*:case:*"))
    client.set(key, b"\x01", ex=60)
    result = cli("inspect", "img-42")
    assert (result.code, result.out) == (1, "")
    assert "holds no case" in result.err


# review ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["upheld", "cleared"])
def test_a_review_is_a_verdict_that_the_service_takes(cli: Call, client: redis.Redis, word: str) -> None:
    before = clock()
    result = cli("review", "写真", "--verdict", word, "--moderator", "mod-3")
    [(_, fields)] = stream(client, REVIEWED)
    assert list(fields) == [b"__data__"]
    event = json.loads(fields[b"__data__"])
    assert result == Result(0, f"{event['id']}\n", "")
    assert event["data"]["moderator_id"] == "mod-3"
    [verdict] = taken(client, REVIEWED)
    assert isinstance(verdict, Verdict)
    assert (verdict.image_id, verdict.upheld) == ("写真", word == "upheld")
    assert before <= verdict.time <= clock()


def test_a_review_for_programs(cli: Call, client: redis.Redis) -> None:
    result = cli("review", "img-42", "--verdict", "cleared", "--json")
    [(position, fields)] = stream(client, REVIEWED)
    event = json.loads(fields[b"__data__"])
    assert result.json == {
        "id": event["id"],
        "channel": REVIEWED,
        "position": position.decode(),
        "image_id": "img-42",
    }
    assert event["data"] == {"image_id": "img-42", "verdict": "cleared"}


# watch -------------------------------------------------------------------------------------------


@contextmanager
def subprocess_of(
    *arguments: str, broker: str, stdin: int = subprocess.DEVNULL
) -> Iterator["subprocess.Popen[bytes]"]:
    """A command in a process of its own, ended by SIGKILL if the test didn't see its end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODERATION_")}
    with subprocess.Popen(
        [sys.executable, "-m", "image_moderation", *arguments],
        cwd=ROOT,
        env=inherited | {"MODERATION_BROKER_URL": broker},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def decision(image: str) -> bytes:
    data = {
        "image_id": image,
        "revision": 1,
        "state": "blocked",
        "decided_at": "2026-11-23T10:00:07.123Z",
        "trigger": "threshold",
        "distinct_reporters": 5,
        "threshold": 5,
        "reasons": {"nudity": 4, "spam": 1},
    }
    return json.dumps({"type": "image.blocked.v1", "data": data}).encode()


def test_watch_shows_what_comes_until_ctrl_c(redis_url: str, client: redis.Redis) -> None:
    client.xadd("image.blocked", {"__data__": decision("before")})
    with subprocess_of("watch", broker=redis_url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"watching image.blocked")
        client.xadd("image.blocked", {"__data__": decision("img\x1b[31m")})
        client.xadd("image.blocked", {"__data__": b"no event"})
        assert process.stdout.readline().decode().rstrip() == (
            "2026-11-23T10:00:07.123Z  img\\x1b[31m  blocked  revision 1  by threshold  "
            "5 of 5 reporters  nudity 4, spam 1"
        )
        assert b"not an event" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stderr.read() == b""


def test_watch_shows_all_kinds_of_decisions(redis_url: str, client: redis.Redis) -> None:
    facts = json.loads(decision("img"))["data"]
    unblocked = {
        "image_id": "img",
        "revision": 3,
        "state": "open",
        "decided_at": "2026-11-23T11:00:00.000Z",
        "automated": False,
        "trigger": "moderator",
        "policy": "3f9a1c77",
    }
    review = facts | {"state": "open", "trigger": "breaker", "reasons": {}}
    by_moderator = unblocked | {"state": "blocked", "distinct_reporters": 0, "threshold": 5, "reasons": {}}
    with subprocess_of("watch", broker=redis_url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().startswith(
            b"watching image.blocked, image.unblocked, image.review-requested;"
        )
        for channel, data, line in (
            (
                "image.review-requested",
                review,
                "2026-11-23T10:00:07.123Z  img  review requested  revision 1  by breaker  5 of 5 reporters",
            ),
            (
                "image.unblocked",
                unblocked,
                "2026-11-23T11:00:00.000Z  img  open  revision 3  by moderator",
            ),
            (
                "image.blocked",
                by_moderator,
                "2026-11-23T11:00:00.000Z  img  blocked  revision 3  by moderator  0 of 5 reporters",
            ),
        ):
            client.xadd(channel, {"__data__": json.dumps({"type": f"{channel}.v1", "data": data})})
            assert process.stdout.readline().decode().rstrip() == line
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_watch_from_the_start_gives_raw_events_to_programs(redis_url: str, client: redis.Redis) -> None:
    bodies = [decision("one"), decision("two")]
    for body in bodies:
        client.xadd("image.blocked", {"__data__": body})
    with subprocess_of("watch", "--from-start", "--json", broker=redis_url) as process:
        assert process.stdout is not None
        assert [process.stdout.readline().rstrip() for _ in bodies] == bodies
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    groups = cast("list[object]", client.xinfo_groups("image.blocked"))
    assert groups == []


# dead-letters ------------------------------------------------------------------------------------


def test_letters_are_listed_once_each_and_without_what_they_held(cli: Call, client: redis.Redis) -> None:
    assert cli("dead-letters", "list").out == ""
    assert cli("dead-letters", "list", "--json").json == []
    first = park(client, b"{secret-reporter", "1-0")
    second = park(client, b"{other", "2-0", user="secret-reporter")
    park(client, b"{secret-reporter", "1-0")
    listed = cli("dead-letters", "list", "--json")
    assert [(one["id"], one["copies"], one["position"]) for one in listed.json] == [
        (first, 2, "1-0"),
        (second, 1, "2-0"),
    ]
    heading, *rows = cli("dead-letters", "list").out.splitlines()
    assert heading.startswith("id\tparked at\treason")
    assert [row.split("\t")[0] for row in rows] == [first, second]
    assert "secret-reporter" not in listed.out + "".join(rows)


def test_a_letter_is_shown_masked_unless_raw(cli: Call, client: redis.Redis) -> None:
    letter = park(client, b'{"who": "secret-reporter"\x1b', "1-0", user="also-secret")
    masked = cli("dead-letters", "show", letter)
    assert masked.code == 0
    assert "reason: not_json" in masked.out
    assert "header user: ***" in masked.out
    assert "secret" not in masked.out + cli("dead-letters", "show", letter, "--json").out
    raw = cli("dead-letters", "show", letter, "--raw").out
    assert 'body: {"who": "secret-reporter"\\x1b\n' in raw
    assert "header user: also-secret" in raw
    facts = cli("dead-letters", "show", letter, "--raw", "--json").json
    assert base64.b64decode(facts["body"]) == b'{"who": "secret-reporter"\x1b'
    assert facts["headers"] == {"user": "also-secret"}


def test_a_letter_that_is_not_there(cli: Call) -> None:
    for command in (("show", "x"), ("redrive", "x"), ("purge", "x", "--yes")):
        result = cli("dead-letters", *command)
        assert result.code == 1
        assert "x: no dead letter has this id" in result.err


def test_a_redriven_letter_is_published_once_as_it_came(cli: Call, client: redis.Redis) -> None:
    body = bytes(range(256))
    letter = park(client, body, "1-0", trace="abc", näme="wörd")
    other = park(client, b"stays", "2-0")
    park(client, body, "1-0", trace="abc", näme="wörd")
    result = cli("dead-letters", "redrive", letter, "--json")
    [(position, fields)] = stream(client, REPORTED)
    assert result.code == 0
    assert result.json == {
        "redriven": [{"id": letter, "channel": REPORTED, "position": position.decode()}],
        "refused": [],
    }
    assert fields == {b"__data__": body, b"trace": b"abc", "näme".encode(): "wörd".encode()}
    assert [one["id"] for one in cli("dead-letters", "list", "--json").json] == [other]
    assert cli("dead-letters", "redrive", letter).code == 1
    assert len(stream(client, REPORTED)) == 1


def test_people_who_redrive_at_once_publish_each_letter_once(
    redis_url: str, client: redis.Redis, cli: Call
) -> None:
    for n in range(300):
        for _ in range(1 + n % 2):
            park(client, b"%d" % n, f"{n + 1}-0")
    racing = [subprocess_of("dead-letters", "redrive", "--all", broker=redis_url) for _ in range(2)]
    with racing[0] as one, racing[1] as other:
        for process in (one, other):
            process.communicate(timeout=60)
    assert sorted(int(fields[b"__data__"]) for _, fields in stream(client, REPORTED)) == list(range(300))
    assert client.xlen(LETTERS) == 0


def test_what_was_not_kept_whole_is_not_redriven(cli: Call, client: redis.Redis) -> None:
    truncated = park(client, b"x" * (DEAD_LETTER_BODY_BYTES + 1), "1-0")
    good = park(client, b"y" * DEAD_LETTER_BODY_BYTES, "2-0")
    client.xadd(LETTERS, {"__data__": "no letter"})
    result = cli("dead-letters", "redrive", "--all")
    assert result.code == 1
    assert result.out.startswith(f"{good} redriven to image.reported as ")
    refused, unreadable, summary = result.err.splitlines()
    kept = "only the first 262,144 of its 262,145 bytes were kept"
    assert refused == f"{truncated}: can't be redriven: {kept}"
    assert "can't be redriven: it is not a dead letter of this service" in unreadable
    assert summary == "2 not redriven"
    assert [len(fields[b"__data__"]) for _, fields in stream(client, REPORTED)] == [DEAD_LETTER_BODY_BYTES]
    assert client.xlen(LETTERS) == 2


def test_a_letter_that_can_not_be_published_stays(cli: Call, client: redis.Redis) -> None:
    letter = park(client, b"{", "1-0")
    client.set(REPORTED, "no stream", ex=60)
    result = cli("dead-letters", "redrive", letter)
    assert result.code == 1
    assert "WRONGTYPE" in result.err
    assert client.xlen(LETTERS) == 1


def test_purge_removes_what_is_named_with_all_copies(cli: Call, client: redis.Redis) -> None:
    first, second = park(client, b"{", "1-0"), park(client, b"{", "2-0")
    park(client, b"{", "1-0")
    assert cli("dead-letters", "purge", first).code == 2
    assert client.xlen(LETTERS) == 3
    assert cli("dead-letters", "purge", first, "--yes") == Result(0, "1 purged\n", "")
    assert [one["id"] for one in cli("dead-letters", "list", "--json").json] == [second]
    assert cli("dead-letters", "purge", "--all", "--yes", "--json").json == {
        "purged": [second],
        "missing": [],
    }
    assert client.xlen(LETTERS) == 0
    assert stream(client, REPORTED) == []


# serve -------------------------------------------------------------------------------------------


def embedded(tmp_path: Path, **variables: str) -> ServiceProcess:
    arguments = ("serve", "--embedded", "--data-dir", str(tmp_path / "data"))
    return ServiceProcess(tmp_path, variables, arguments=arguments)


def exported_url(service: ServiceProcess) -> str:
    line = next(line for line in service.log.splitlines() if "export MODERATION_BROKER_URL=" in line)
    return line.partition("=")[2]


def test_the_one_command_start_blocks_what_is_reported_as_it_says(call: Call, tmp_path: Path) -> None:
    with embedded(tmp_path, MODERATION_BLOCK_THRESHOLD="2") as service:
        url = exported_url(service)
        assert "image-moderation report img-42 --reason nudity" in service.log
        for _ in range(2):
            assert call("report", "img-42", broker_url=url).code == 0
        wait_until(
            lambda: call("inspect", "img-42", "--json", broker_url=url).json["blocked"], "img-42 is blocked"
        )
        service.terminate()
        assert service.wait() == 0
        assert "Traceback" not in service.log


def test_serve_ends_with_its_embedded_server(tmp_path: Path) -> None:
    with embedded(tmp_path) as service:
        with redis.Redis.from_url(exported_url(service)) as client:
            os.kill(int(cast("dict[str, Any]", client.info())["process_id"]), signal.SIGKILL)
        assert service.wait() == 1
        last = service.log.splitlines()[-1]
        assert last.startswith("the private ")
        assert "was ended by signal 9" in last


def test_serve_says_in_one_line_that_its_port_is_taken(redis_url: str, tmp_path: Path) -> None:
    with redis_port() as port:
        variables = {"MODERATION_BROKER_URL": redis_url, "MODERATION_HTTP_PORT": str(port)}
        with ServiceProcess(tmp_path, variables, wait="") as service:
            assert service.wait() == 1
            assert service.log == f"can't listen on 127.0.0.1:{port}: Address already in use\n"


@contextmanager
def redis_port() -> Iterator[int]:
    """A port that somebody listens on."""
    import socket

    with socket.create_server(("127.0.0.1", free_port())) as listener:
        yield listener.getsockname()[1]


def test_serve_refuses_a_data_directory_in_use(tmp_path: Path) -> None:
    with embedded(tmp_path) as service:
        again = ServiceProcess(tmp_path, {}, arguments=service.command[3:], wait="", name="again")
        with again:
            assert again.wait() == 2
            assert "is in use" in again.log
            assert again.log.count("\n") == 1
