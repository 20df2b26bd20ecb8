"""The commands that CONTRIBUTING.md gives to run by hand work."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.service_process import ROOT


def test_the_script_call_by_hand(redis_url: str, tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    script = tmp_path / "by_hand.py"
    script.write_text(text.partition("```python\n")[2].partition("```")[0])
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODERATION_")}
    command = [sys.executable, str(script)]
    for outcome in ("counted", "duplicate"):
        env = inherited | {"MODERATION_BROKER_URL": redis_url}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert f"'{outcome}'" in done.stdout
        assert "score=1" in done.stdout
