"""`serve`: the one-command start, and how it ends."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import redis

from tests.support.command_line import Call
from tests.support.servers import free_port
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until


def embedded(tmp_path: Path, **variables: str) -> ServiceProcess:
    arguments = ("serve", "--embedded", "--data-dir", str(tmp_path / "data"))
    return ServiceProcess(tmp_path, variables, arguments=arguments)


def exported_url(service: ServiceProcess) -> str:
    line = next(line for line in service.log.splitlines() if "export MODERATION_BROKER_URL=" in line)
    return line.partition("=")[2]


@contextmanager
def redis_port() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        yield listener.getsockname()[1]


def test_the_one_command_start_blocks_what_is_reported_as_it_says(call: Call, tmp_path: Path) -> None:
    with embedded(tmp_path, MODERATION_BLOCK_THRESHOLD="2") as service:
        url = exported_url(service)
        assert "report img-42 --reason nudity" in service.log
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
        last = service.events()[-1]
        assert last["event"] == "serve_failed"
        assert last["error"].startswith("the private ")
        assert "was ended by signal 9" in last["error"]


def test_serve_says_in_one_line_that_its_port_is_taken(redis_url: str, tmp_path: Path) -> None:
    with redis_port() as port:
        variables = {"MODERATION_BROKER_URL": redis_url, "MODERATION_HTTP_PORT": str(port)}
        with ServiceProcess(tmp_path, variables, wait="") as service:
            assert service.wait() == 1
            (line,) = service.events()
            assert line["error"] == (
                f"can't listen on 127.0.0.1:{port}: Address already in use; "
                "set MODERATION_HTTP_PORT to another port (0 takes a free one)"
            )
            assert service.log.count("\n") == 1


def test_serve_refuses_a_data_directory_in_use(tmp_path: Path) -> None:
    with embedded(tmp_path) as service:
        again = ServiceProcess(tmp_path, {}, arguments=service.command[3:], wait="", name="again")
        with again:
            assert again.wait() == 2
            assert "is in use" in again.log
            assert again.log.count("\n") == 1
