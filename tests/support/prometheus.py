"""A real Prometheus with the real rules that scrapes one target, and queries to it."""

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.support.rules import RULES
from tests.support.servers import free_port, missing
from tests.support.waiting import wait_until

JOB = "image-moderation"


class Prometheus:
    """A context manager that runs a private server on the loopback interface."""

    def __init__(self, tmp_path: Path, target: str) -> None:
        """`target` is the `host:port` to scrape; `tmp_path` takes data, configuration and log."""
        self._program = shutil.which("prometheus") or missing("prometheus")
        self._dir = tmp_path / "prometheus"
        self._dir.mkdir()
        self._url = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": [target]}]}],
        }
        (self._dir / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML

    def __enter__(self) -> Self:
        command = [
            self._program,
            f"--config.file={self._dir / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._dir / 'data'}",
            f"--web.listen-address={self._url}",
        ]
        with (self._dir / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(self._is_up, "Prometheus answers", timeout=20)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def query(self, expression: str) -> list[float]:
        """Return the values of an instant query now, without NaN."""
        answer = self._get(f"/api/v1/query?{urlencode({'query': expression})}")
        assert answer["resultType"] in {"vector", "scalar"}, answer
        samples = answer["result"] if answer["resultType"] == "vector" else [{"value": answer["result"]}]
        values = [float(sample["value"][1]) for sample in samples]
        return [value for value in values if not math.isnan(value)]

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule with its `health`, and every alert with its `state`."""
        return [rule for group in self._get("/api/v1/rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str) -> Any:
        with urlopen(f"http://{self._url}{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._dir / "log").read_text()
        try:
            with urlopen(f"http://{self._url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False
