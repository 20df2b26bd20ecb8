"""`review`: a moderator's verdict."""

import json

import pytest
import redis

from image_moderation.domain.report import Review
from image_moderation.wiring import clock
from tests.support.command_line import Call, Result
from tests.support.redis_streams import parsed, stream

REVIEWED = "image.reviewed"


@pytest.mark.parametrize("word", ["upheld", "cleared"])
def test_a_review_is_a_verdict_that_the_service_takes(cli: Call, client: redis.Redis, word: str) -> None:
    before = clock()
    result = cli("review", "写真", "--verdict", word, "--moderator", "mod-3")
    [(_, fields)] = stream(client, REVIEWED)
    assert list(fields) == [b"__data__"]
    event = json.loads(fields[b"__data__"])
    assert result == Result(0, f"{event['id']}\n", "")
    assert event["data"]["moderator_id"] == "mod-3"
    [review] = parsed(client, REVIEWED)
    assert isinstance(review, Review)
    assert (review.image_id, review.verdict) == ("写真", word)
    assert before <= review.time <= clock()


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
