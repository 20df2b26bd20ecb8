"""The rights that `deploy/kafka/acls.sh` grants, granted without starting Kafka's own tool for each."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from itertools import product
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported without saying so
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tests.support.service_process import ROOT

SCRIPT = ROOT / "deploy" / "kafka" / "acls.sh"


def commands() -> list[list[str]]:
    """Run the script with a tool in place of Kafka's that only tells its arguments; return them."""
    with tempfile.TemporaryDirectory() as folder:
        tool = Path(folder) / "kafka-acls.sh"
        tool.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
        env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
        done = subprocess.run([SCRIPT], env=env, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def bindings() -> list[AclBinding]:
    """Return what the script grants."""
    parser = ArgumentParser(allow_abbrev=False)
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--allow-principal", required=True)
    parser.add_argument("--resource-pattern-type", default="literal")
    for several in ("--operation", "--topic", "--group"):
        parser.add_argument(several, action="append", default=[])
    found = []
    for command in commands():
        given = parser.parse_args(command)
        resources = [(ResourceType.TOPIC, name) for name in given.topic]
        resources += [(ResourceType.GROUP, name) for name in given.group]
        pattern = ResourcePatternType[given.resource_pattern_type.upper()]
        for (kind, name), operation in product(resources, given.operation):
            found.append(
                AclBinding(
                    kind,
                    name,
                    pattern,
                    given.allow_principal,
                    "*",
                    AclOperation[operation.upper()],
                    AclPermissionType.ALLOW,
                )
            )
    return found


def grant(admin: AdminClient) -> None:
    """Grant it all."""
    for done in admin.create_acls(bindings()).values():
        done.result(20)
