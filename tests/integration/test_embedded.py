"""The private server, with a real engine."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from image_moderation.embedded import EmbeddedError, EmbeddedRedis, Engine, default_data_dir
from tests.support.servers import ENGINES, RedisServers
from tests.support.waiting import wait_until


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, redis_servers: RedisServers) -> Engine:
    return redis_servers.engine(request.param)


@contextmanager
def client_of(server: EmbeddedRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        yield client


def test_answers_on_a_private_socket_and_keeps_its_data(engine: Engine, tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "data", engine=engine) as server:
        assert server.url.startswith("unix:///")
        assert stat.S_IMODE(server.socket_path.parent.stat().st_mode) == 0o700
        with client_of(server) as client:
            client.set("kept", "yes")
            config = client.config_get("*")
    wanted = {"port": "0", "appendonly": "yes", "appendfsync": "everysec", "save": ""}
    assert wanted.items() <= config.items()
    assert config["maxmemory-policy"] == "noeviction"
    assert not server.running
    readable = [path for path in (tmp_path / "data").rglob("*.aof*") if path.stat().st_mode & 0o077]
    assert readable == []

    with EmbeddedRedis(tmp_path / "data", engine=engine) as again, client_of(again) as client:
        assert client.get("kept") == "yes"


def test_a_path_too_long_for_a_socket_gets_a_short_one(engine: Engine, tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / ("long and spaced " * 8), engine=engine) as server:
        socket_dir = server.socket_path.parent
        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
        with client_of(server) as client:
            assert client.ping()
    assert not socket_dir.exists()


def test_a_second_start_on_one_directory_is_refused(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_moderation.embedded.server._LOCK_TIMEOUT", 0.1)
    with EmbeddedRedis(tmp_path, engine=engine) as first:
        with pytest.raises(EmbeddedError) as refusal, EmbeddedRedis(tmp_path, engine=engine):
            pass
        assert f"data directory {tmp_path} is in use" in str(refusal.value)
        assert f"pid {first.pid})" in str(refusal.value)
        first.check()


def test_a_killed_server_is_seen_and_can_be_restarted(engine: Engine, tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path, engine=engine, appendfsync="always") as server:
        url = server.url
        with client_of(server) as client:
            client.set("kept", "yes")
        server.kill()
        assert not server.running
        with pytest.raises(EmbeddedError, match="was ended by signal 9"):
            server.check()
        server.restart()
        assert server.url == url
        with client_of(server) as client:
            assert client.get("kept") == "yes"


def test_a_server_that_dies_at_its_start_says_why(engine: Engine, tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path, engine=engine, appendfsync="sometimes")
    with pytest.raises(EmbeddedError, match=r"has ended with exit code 1: .*appendfsync") as failure:
        server.start()
    assert "\n" not in str(failure.value)
    with EmbeddedRedis(tmp_path, engine=engine):  # the failure left no lock behind
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_killed_parent_takes_its_server_along(engine: Engine, tmp_path: Path) -> None:
    script = (
        "import pathlib, sys, time\n"
        "from image_moderation.embedded import EmbeddedRedis, Engine\n"
        "engine = Engine(sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]))\n"
        "with EmbeddedRedis(pathlib.Path(sys.argv[4]), engine=engine) as server:\n"
        "    print(server.url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    arguments = [engine.name, engine.version, str(engine.path), str(tmp_path)]
    with subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().decode().strip()
        with redis.Redis.from_url(url) as client:
            client.set("kept", "yes")
        parent.send_signal(signal.SIGKILL)
    with EmbeddedRedis(tmp_path, engine=engine) as server, client_of(server) as client:  # at once
        assert client.get("kept") == "yes"


def test_an_orphan_keeps_the_directory_until_it_ends(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_moderation.embedded.server._LOCK_TIMEOUT", 0.0)
    # As a killed parent where the server isn't bound to it: the lock's own descriptor goes, the server stays.
    orphan = EmbeddedRedis(tmp_path, engine=engine)
    orphan.start()
    assert orphan._lock is not None
    os.close(orphan._lock)
    orphan._lock = None
    try:
        with pytest.raises(EmbeddedError, match=rf"a server still runs on it \(pid {orphan.pid}\)"):
            EmbeddedRedis(tmp_path, engine=engine).start()
    finally:
        orphan.stop()
    with EmbeddedRedis(tmp_path, engine=engine):
        pass


@pytest.mark.parametrize("written_by", ["valkey 99.0.0", "dragonfly 1.0"])
def test_data_of_a_newer_or_another_engine_is_refused(
    written_by: str, redis_servers: RedisServers, tmp_path: Path
) -> None:
    (tmp_path / "engine").write_text(written_by)
    with pytest.raises(EmbeddedError, match=f"was written by {written_by}"):
        redis_servers.new(tmp_path).start()


def test_no_engine_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("image_moderation.embedded.engine.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EmbeddedError, match="no usable Valkey or Redis server found") as failure:
        EmbeddedRedis(tmp_path)
    assert "\n" not in str(failure.value)


def test_the_default_directory_is_by_engine_and_major(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = Engine("valkey", "9.1.2", Path("valkey-server"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_data_dir(engine) == tmp_path / "image-moderation" / "valkey-9"
    monkeypatch.setenv("XDG_STATE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_data_dir(engine) == tmp_path / ".local/state/image-moderation/valkey-9"


def test_the_session_server_is_there_on_tcp_too(redis_server: EmbeddedRedis) -> None:
    with redis.Redis.from_url(redis_server.tcp_url) as client:
        wait_until(client.ping, "the TCP port answers")


def test_a_port_in_use_is_said_before_the_server_tries(redis_servers: RedisServers, tmp_path: Path) -> None:
    server = redis_servers.new(tmp_path)
    with socket.create_server(("127.0.0.1", server.port)):
        says = rf"can't listen on 127.0.0.1:{server.port}: Address already in use"
        with pytest.raises(EmbeddedError, match=says):
            server.start()
