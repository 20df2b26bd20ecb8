"""`dead-letters`: list, show, redrive, purge."""

import base64

import redis

from image_moderation.domain.message import DeadLetter, DeadLetterReason, RawMessage
from image_moderation.events.render import DEAD_LETTER_BODY_BYTES, dead_letter_id, dead_letter_message
from image_moderation.wiring import clock
from tests.support.command_line import Call, Result, subprocess_of
from tests.support.redis_streams import stream

REPORTED, DEAD_LETTERS = "image.reported", "image.dead-letter"


def park(client: redis.Redis, body: bytes, position: str = "1-0", **headers: str) -> str:
    """Parks a message as the service does, and returns the letter's id."""
    message = RawMessage(REPORTED, position, body, headers=headers)
    event = dead_letter_message(DeadLetter(message, DeadLetterReason.NOT_JSON, "no JSON"), clock()).body
    client.xadd(DEAD_LETTERS, {"__data__": event})
    return dead_letter_id(REPORTED, position)


def test_letters_are_listed_once_each_and_without_what_they_held(cli: Call, client: redis.Redis) -> None:
    assert cli("dead-letters", "list").out == ""
    assert cli("dead-letters", "list", "--json").lines == []
    first = park(client, b"{secret-reporter", "1-0")
    second = park(client, b"{other", "2-0", user="secret-reporter")
    park(client, b"{secret-reporter", "1-0")
    listed = cli("dead-letters", "list", "--json")
    assert [(one["id"], one["copies"], one["position"]) for one in listed.lines] == [
        (first, 2, "1-0"),
        (second, 1, "2-0"),
    ]
    heading, *rows = cli("dead-letters", "list").out.splitlines()
    assert heading.startswith("id\ttime\treason")
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
    assert [one["id"] for one in cli("dead-letters", "list", "--json").lines] == [other]
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
    assert client.xlen(DEAD_LETTERS) == 0


def test_what_was_not_kept_whole_is_not_redriven(cli: Call, client: redis.Redis) -> None:
    truncated = park(client, b"x" * (DEAD_LETTER_BODY_BYTES + 1), "1-0")
    good = park(client, b"y" * DEAD_LETTER_BODY_BYTES, "2-0")
    client.xadd(DEAD_LETTERS, {"__data__": "no letter"})
    result = cli("dead-letters", "redrive", "--all")
    assert result.code == 1
    assert result.out.startswith(f"{good} redriven to image.reported as ")
    refused, unreadable, summary = result.err.splitlines()
    kept = "only the first 262,144 of its 262,145 bytes were kept"
    assert refused == f"{truncated}: can't be redriven: {kept}"
    assert "can't be redriven: it is not a dead letter of this service" in unreadable
    assert summary == "2 not redriven"
    assert [len(fields[b"__data__"]) for _, fields in stream(client, REPORTED)] == [DEAD_LETTER_BODY_BYTES]
    assert client.xlen(DEAD_LETTERS) == 2


def test_a_letter_that_can_not_be_published_stays(cli: Call, client: redis.Redis) -> None:
    letter = park(client, b"{", "1-0")
    client.set(REPORTED, "no stream", ex=60)
    result = cli("dead-letters", "redrive", letter)
    assert result.code == 1
    assert "WRONGTYPE" in result.err
    assert client.xlen(DEAD_LETTERS) == 1


def test_purge_removes_what_is_named_with_all_copies(cli: Call, client: redis.Redis) -> None:
    first, second = park(client, b"{", "1-0"), park(client, b"{", "2-0")
    park(client, b"{", "1-0")
    assert cli("dead-letters", "purge", first).code == 2
    assert client.xlen(DEAD_LETTERS) == 3
    assert cli("dead-letters", "purge", first, "--yes") == Result(0, "1 purged\n", "")
    assert [one["id"] for one in cli("dead-letters", "list", "--json").lines] == [second]
    assert cli("dead-letters", "purge", "--all", "--yes", "--json").json == {
        "purged": [second],
        "missing": [],
    }
    assert client.xlen(DEAD_LETTERS) == 0
    assert stream(client, REPORTED) == []
