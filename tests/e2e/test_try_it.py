"""What README.md and the banner of `serve --embedded` tell people to type works as it stands there.

The port alone is another, because several may run these tests on one machine.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.servers import free_port, missing
from tests.support.service_process import ROOT, ServiceProcess
from tests.support.waiting import wait_until

PORT = "6380"
BLOCKED = "img-42  blocked  revision 1"
"""As `watch` shows it."""


def blocks(page: str, heading: str) -> list[str]:
    """Return the blocks of shell commands in a section, as they stand."""
    _, found, rest = (ROOT / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    assert found, heading
    return re.findall(r"^```sh\n(.*?)^```$", rest.partition("\n## ")[0], re.MULTILINE | re.DOTALL)


@contextmanager
def terminal(
    text: str, env: dict[str, str], output: Path, place: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """Type commands in a shell in the checkout; at the end, Ctrl-C for whatever still runs."""
    with output.open("wb") as out:
        shell = subprocess.Popen(
            ["sh", "-c", text], cwd=place, env=env, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield shell
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            shell.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


def environment(tmp_path: Path, **own: str) -> dict[str, str]:
    """A person's, without any setting of the service but a free port for its HTTP side."""
    # Without what a `make test` hands on to a make within it.
    dropped = ("MODERATION_", "MAKE", "MFLAGS", "ARGS")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return inherited | {"XDG_STATE_HOME": str(tmp_path), "MODERATION_HTTP_PORT": "0", "COLUMNS": "200", **own}


def test_try_it_as_the_readme_has_it(tmp_path: Path) -> None:
    if not shutil.which("redis-cli"):
        missing("redis-cli")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"BROKER_PORT ?= {PORT}\n" in makefile
    port = str(free_port())
    env = environment(tmp_path, BROKER_PORT=port)
    run, *commands = blocks("README.md", "Try it")
    commands += blocks("contracts/README.md", "Producers and consumers")
    assert all(PORT in block for block in (run, commands[0], commands[-1]))
    served, typed = tmp_path / "run.out", tmp_path / "typed.out"

    with terminal(run, env, served) as service:

        def ready() -> bool:
            assert service.poll() is None, served.read_text()
            return '"event":"ready"' in served.read_text()

        wait_until(ready, "the service is ready", 60)
        text = "\n".join(commands).replace(PORT, port)
        with terminal(text, env, typed) as shell:
            assert shell.wait(90) == 0, typed.read_text()
            wait_until(lambda: BLOCKED in typed.read_text(), "watch shows the block", 20)
        shown = typed.read_text()
    assert "img-42 has been blocked since" in shown
    assert "img-43 is not blocked: 1 of 5 distinct reporters" in shown
    assert "reported img-7\n" in shown


def test_the_banner_works_in_any_directory(tmp_path: Path) -> None:
    port = str(free_port())
    arguments = ("serve", "--embedded", "--data-dir", str(tmp_path / "data"), "--broker-port", port)
    with ServiceProcess(tmp_path, {"MODERATION_BLOCK_THRESHOLD": "2"}, arguments=arguments) as service:
        typed = [line for line in service.log.splitlines() if line.startswith("  ")]
        assert typed[0] == f"  export MODERATION_BROKER_URL=redis://127.0.0.1:{port}"
        output = tmp_path / "typed.out"
        with terminal("\n".join(typed), environment(tmp_path), output, Path("/")) as shell:
            assert shell.wait(90) == 0, output.read_text()
            wait_until(lambda: BLOCKED in output.read_text(), "watch shows the block", 20)
        assert "img-42 has been blocked since" in output.read_text()


def test_a_taken_port_of_the_private_server_is_one_line_that_says_what_to_set(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        arguments = ("serve", "--embedded", "--data-dir", str(tmp_path / "data"), "--broker-port", str(port))
        with ServiceProcess(tmp_path, {}, arguments=arguments, wait="") as service:
            assert service.wait() == 2
            [line] = service.events()
            assert line["error"] == (
                f"can't listen on 127.0.0.1:{port}: Address already in use; name another port: "
                "serve --embedded --broker-port N, or make run BROKER_PORT=N"
            )
