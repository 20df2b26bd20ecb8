"""Everything that the benchmark lets consume the stream: the plain handler, the service, and Node.js."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from image_moderation import wiring
from image_moderation.settings import Settings, milliseconds
from image_moderation.store import lua
from image_moderation.store.arguments import ApplyArguments
from image_moderation.store.redis_store import LATE_DELIVERY, kept_decided
from tests.benchmarks import naive
from tests.support import npm
from tests.support.service_process import ROOT, ServiceProcess

NODE = Path(__file__).with_name("node")
NODE_PLACE = ROOT / "build" / "bench" / "node"
GROUP = "image-moderation"
REPORTED_SCHEMA = ROOT / "contracts" / "schemas" / "image.reported.v1.schema.json"


@dataclass(frozen=True, slots=True)
class Contestant:
    """Something that consumes the stream."""

    name: str
    group: str
    start: Callable[[Path, str], ServiceProcess]
    """Makes the process, which `tests.benchmarks.processes.running` starts, for a folder and a URL."""
    share: float = 1.0
    """Of the stream: a slow one consumes a part of it."""
    publishes: bool = True
    """Whether the run is over only once its outbox is empty, and its blocks are compared."""


def service(env: Mapping[str, str] | None = None, name: str = "service") -> Contestant:
    """Return the service as users run it, with further settings."""

    def start(place: Path, url: str) -> ServiceProcess:
        return ServiceProcess(place, {"MODERATION_BROKER_URL": url, **(env or {})}, wait="", name=name)

    return Contestant(name, GROUP, start)


def plain_handler(share: float) -> Contestant:
    """Return the handler that anybody could write in an afternoon."""

    def start(place: Path, url: str) -> ServiceProcess:
        module = "tests.benchmarks.naive"
        return ServiceProcess(place, {"BENCH_URL": url}, module=module, arguments=(), wait="", name="naive")

    return Contestant("naive", naive.GROUP, start, share, publishes=False)


def node(place: Path) -> Contestant:
    """Return Node.js with ioredis, which runs the service's own scripts. `place` takes what it needs to know.

    Raises:
        npm.NpmError: it can't run here.
    """
    npm.packages(NODE / "package.json", NODE_PLACE)
    handler = shutil.copy(NODE / "handler.mjs", NODE_PLACE)
    calls = place / "calls.json"
    calls.write_text(json.dumps(_calls()))

    def start(place: Path, url: str) -> ServiceProcess:
        return ServiceProcess(
            place,
            {"BENCH_URL": url.removeprefix("unix://")},
            program=("node",),
            module=str(handler),
            arguments=(str(calls),),
            wait="",
            name="node",
        )

    return Contestant("node", GROUP, start)


def _calls() -> dict[str, object]:
    """Return the scripts, and those of their arguments that are the same in every call."""
    settings = Settings.load({"MODERATION_BROKER_URL": "redis://localhost"})
    policy = wiring.policy(settings)
    fixed = {
        "block_threshold": policy.block_threshold,
        "report_window": policy.report_window,
        "most_records": policy.most_records,
        "immunity": policy.immunity,
        "review_threshold": policy.review_threshold,
        "review_grace": policy.review_grace,
        "waiting_sets": 0,
        "shadow": 0,
        "blocks_left": "",
        "policy_hash": policy.hash,
        "retried": 0,
        "traces": "",
    }
    return {
        "apply": lua.APPLY.text,
        "apply_sha": lua.APPLY.sha.decode(),
        "deliver": lua.DELIVER.text,
        "deliver_sha": lua.DELIVER.sha.decode(),
        "order": [name for name in ApplyArguments._fields if name != "reasons"],
        "fixed": fixed,
        "open_for": policy.report_window + LATE_DELIVERY,
        "decided_for": kept_decided(policy, milliseconds(settings.block_retention)),
        "schema": json.loads(REPORTED_SCHEMA.read_text()),
        "key": "a benchmark's key",
    }
