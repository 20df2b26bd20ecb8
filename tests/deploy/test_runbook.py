"""deploy/runbook.md: its commands can be typed, and the operations that its steps name are in its table."""

import re
import subprocess
from pathlib import Path

from tests.support.deploy_commands import DEPLOY
from tests.support.service_process import ROOT

RUNBOOK = (DEPLOY / "runbook.md").read_text()
INSTALLATION = RUNBOOK.partition("## The commands of your installation")[2].partition("\n## ")[0]
BLOCKS = [block.replace("\n   ", "\n") for block in re.findall(r"```sh\n(.*?)```", RUNBOOK, re.DOTALL)]
ROWS = [line.split(" | ") for line in INSTALLATION.splitlines() if line.startswith("| **")]


def bash(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, check=False)


def test_the_shell_takes_every_command() -> None:
    typed = [
        command for row in ROWS for cell in row[1:] for command in re.findall(r"`([^`/A-Z{][^`]*)`", cell)
    ]
    assert len(typed) > 35
    for command in [*BLOCKS, *(one for one in typed if " " in one)]:
        done = subprocess.run(["bash", "-n"], input=command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), command


def test_the_operations_of_the_steps_are_in_the_table() -> None:
    named = {" ".join(name.split()).lower() for name in re.findall(r"\*\*([^*]+)\*\*", RUNBOOK)}
    listed = {re.findall(r"\*\*(.+)\*\*", row[0])[0] for row in ROWS}
    said = {
        "waiting loses nothing.",
        "`/readyz` names the cause",
        "gauges keep their last value while a server is unavailable.",
    }
    said |= {"on kafka", "commands", "logs", "in bold", "with its data", "means.", "see more.", "do."}
    assert named - said == listed
    assert all(len(row) == 4 for row in ROWS), "Docker, Kubernetes and systemd"


def test_the_function_for_systemd_has_the_settings_of_the_unit(tmp_path: Path) -> None:
    [function] = [block for block in BLOCKS if "/opt/image-moderation" in block]
    (tmp_path / "broker-url").write_text("nats://broker\n")
    (tmp_path / "store-url").write_text("redis://store\n")
    (tmp_path / "environment").write_text("MODERATION_BLOCK_THRESHOLD=17\nMODERATION_REPORT_WINDOW=7d\n")
    here = function.replace("/etc/image-moderation", str(tmp_path)).replace(
        "/opt/image-moderation", str(ROOT / ".venv")
    )
    done = bash(f"{here}\nimage-moderation config")
    assert done.returncode == 0, done.stderr
    assert re.search(r"MODERATION_BLOCK_THRESHOLD\W+17\b", done.stdout)
    assert re.search(r"MODERATION_REPORT_WINDOW\W+7d\b", done.stdout)
    (tmp_path / "store-url").unlink()
    done = bash(f"{here}\nimage-moderation config")
    assert done.returncode == 2
    assert "MODERATION_STORE_URL" in done.stderr
