"""A Redis whose users are those of deploy/redis/users.acl: each can do its work, and no more."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
import redis

from image_moderation.embedded import Engine
from tests.support.command_line import Call
from tests.support.redis_users import USERS
from tests.support.servers import RedisServers, free_port
from tests.support.service_process import ROOT, ServiceProcess
from tests.support.waiting import wait_until

REPORTED, REVIEWED, BLOCKED, DEAD = "image.reported", "image.reviewed", "image.blocked", "image.dead-letter"
HARMED = f"{BLOCKED}.harmed"
ANYBODY = (
    "FLUSHALL",
    "KEYS *",
    "CONFIG SET maxmemory 1",
    "ACL LIST",
    "SHUTDOWN",
    "MONITOR",
    "SET other:key 1",
)
LOOK_OR_DELETE = (
    "DEL {0}",
    "UNLINK {0}",
    "XLEN {0}",
    "XRANGE {0} - +",
    "XREAD STREAMS {0} 0",
    "XDEL {0} 1-1",
    "XTRIM {0} MAXLEN 0",
    "XSETID {0} 9-9",
    "RENAME {0} other",
    "XGROUP DESTROY {0} image-moderation",
)
CLEARED = {"image_id": "img-42", "verdict": "cleared"}
REFUSED = {
    "producer": (
        *(f"XADD {stream} * a b" for stream in (REVIEWED, BLOCKED, DEAD)),
        *(command.format(REPORTED) for command in LOOK_OR_DELETE),
        "GET moderation:reporter-key",
        "EVAL return 0 0",
        "INFO",
    ),
    "moderator": (
        *(f"XADD {stream} * a b" for stream in (REPORTED, BLOCKED, DEAD)),
        *(command.format(REVIEWED) for command in LOOK_OR_DELETE),
    ),
    "consumer": (
        *(f"XADD {stream} * a b" for stream in (REPORTED, REVIEWED, BLOCKED, DEAD)),
        *(command.format(stream) for stream in (REPORTED, REVIEWED, DEAD) for command in LOOK_OR_DELETE),
        *(
            command.format(BLOCKED)
            for command in LOOK_OR_DELETE
            if command[:4] not in {"XLEN", "XRAN", "XREA"}
        ),
        "GET moderation:reporter-key",
        "EVAL return 0 0",
    ),
    "service": (
        f"DEL {REPORTED}",
        f"XDEL {REPORTED} 1-1",
        f"RENAME {REPORTED} x",
        f"XREAD STREAMS {REPORTED} 0",
    ),
    "operator": (f"XTRIM {REPORTED} MAXLEN 0", f"XREADGROUP GROUP g c STREAMS {REPORTED} >"),
}
"""What each of them may not run."""
RUNBOOK = (
    f"XINFO GROUPS {REPORTED}",
    f"XINFO CONSUMERS {REPORTED} image-moderation",
    f"XREVRANGE {REPORTED} + - COUNT 1",
    f"RENAME {BLOCKED} {HARMED}",
    f"EVAL return(0) 2 {HARMED} {BLOCKED}",
    f"UNLINK {HARMED}",
    f"XGROUP DESTROY {REPORTED} trial",
    "SCAN 0",
    "INFO commandstats",
    "DEL moderation:reporter-key",
)
"""What the runbook has the operator do by hand."""


def report(reporter: str) -> str:
    data = {"image_id": "img-42", "reporter_id": reporter, "reason": "nudity"}
    return event(reporter, "image.reported.v1", data)


def event(name: str, kind: str, data: dict[str, str]) -> str:
    return json.dumps({"specversion": "1.0", "id": name, "source": "/site", "type": kind, "data": data})


class Server:
    """A server with the file, and its users' passwords as docs/access.md gives them."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        copy(USERS, folder)
        text = (ROOT / "docs" / "access.md").read_text()
        steps = re.search(r"```sh\n(for user.*?)```", text, re.DOTALL)
        assert steps
        done = subprocess.run(
            ["bash", "-ec", steps[1]], cwd=folder, capture_output=True, text=True, check=True
        )
        self._passwords = dict(line.split() for line in done.stdout.splitlines())
        self.port = free_port()
        options = {"port": self.port, "bind": "127.0.0.1", "dir": folder, "aclfile": folder / USERS.name}
        options |= {"appendonly": "yes", "logfile": folder / "server.log"}
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        self.process = subprocess.Popen([engine.path, *arguments], stdout=subprocess.DEVNULL)

    def url(self, user: str) -> str:
        return f"redis://{user}:{self._passwords[user]}@127.0.0.1:{self.port}"

    def client(self, user: str) -> Any:
        return redis.Redis.from_url(self.url(user), decode_responses=True)

    def answers(self) -> bool:
        try:
            return bool(self.client("administrator").ping())
        except redis.ConnectionError:
            assert self.process.poll() is None, "the server does not take the file"
            return False


@pytest.fixture
def server(redis_servers: RedisServers, tmp_path: Path) -> Iterator[Server]:
    """Redis 7.0, which knows fewer commands; all other tests of Redis run on Valkey as these users."""
    server = Server(redis_servers.engine("redis"), tmp_path)
    try:
        wait_until(server.answers, "the server answers")
        yield server
    finally:
        server.process.terminate()
        server.process.wait(10)


def test_each_user_can_do_its_work_and_no_more(server: Server, tmp_path: Path, call: Call) -> None:
    producer, moderator, consumer = map(server.client, ("producer", "moderator", "consumer"))
    administrator = server.client("administrator")

    def operate(*arguments: str) -> str:
        result = call(*arguments, broker_url=server.url("operator"))
        assert result.code == 0, (arguments, result.err)
        return result.out

    def published(stream: str) -> list[dict[str, Any]]:
        return [json.loads(fields["__data__"]) for _, fields in consumer.xrange(stream)]

    with ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": server.url("service")}) as service:
        for number in range(5):
            producer.xadd(REPORTED, {"__data__": report(f"user-{number}")})
        producer.xadd(REPORTED, {"__data__": "not an event"})
        wait_until(lambda: published(BLOCKED), "the image is blocked")
        consumer.xgroup_create(BLOCKED, "workers", id="0")
        ((_, [(position, _)]),) = consumer.xreadgroup("workers", "worker-1", {BLOCKED: ">"})
        assert consumer.xack(BLOCKED, "workers", position) == 1
        moderator.xadd(REVIEWED, {"__data__": event("v", "image.reviewed.v1", CLEARED)})
        wait_until(lambda: published("image.unblocked"), "the image is unblocked")
        service.wait_ready()

        for arguments in ("inspect img-42", "blocked", "republish img-42", "report img-43 --reporter user-1"):
            operate(*arguments.split())
        wait_until(lambda: administrator.xlen(DEAD), "the dead letter is there")
        (letter,) = map(json.loads, operate("dead-letters", "list", "--json").splitlines())
        operate("dead-letters", "show", letter["id"])
        operate("dead-letters", "redrive", letter["id"])
        wait_until(lambda: administrator.xlen(DEAD), "it is a dead letter again")
        operate("dead-letters", "purge", "--all", "--yes")
        operate("forget", "img-42", "--yes")
        operate("backtest", "--from-broker")
        service.wait_ready()
        assert "no permissions" not in service.log
    for command in RUNBOOK:
        server.client("operator").execute_command(*command.split())

    # Whatever was refused, and perhaps passed over. redis-py does without telling its name.
    refused = {(entry["username"], entry["object"]) for entry in administrator.acl_log()}
    assert {what for _, what in refused} <= {"client|setinfo"}, refused

    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=server.port).ping()
    for user, commands in REFUSED.items():
        client = server.client(user)
        for command in (*ANYBODY, *commands):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command.split())
