"""NATS and RabbitMQ as the service's own user, with no more rights than `deploy/` gives it.

A run with TEST_LEAST_RIGHTS=1 has it so; Redis and Kafka always do.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.service_process import ROOT

WANTED = os.environ.get("TEST_LEAST_RIGHTS") == "1"
ROLES = ("service", "producer", "moderator", "consumer", "operator")
TESTS_OWN = "tests"
"""A user who may do anything, for the tests themselves."""


def nats_login(role: str) -> str:
    return f"{role}:password-of-{role}@"


def nats_config(folder: Path, port: int) -> Path:
    """Write the configuration of a server with the users of deploy/nats/users.conf and one for the tests."""
    users = (ROOT / "deploy" / "nats" / "users.conf").read_text()
    for role in ROLES:
        users = users.replace(f"$NATS_PASSWORD_{role.upper()}", f'"password-of-{role}"')
    own = f"users: [\n{{ user: {TESTS_OWN}, password: password-of-{TESTS_OWN} }}"
    config = folder / "nats-server.conf"
    config.write_text(
        f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}" }}\n'
        + users.replace("users: [", own, 1)
    )
    return config


def create_users(tool: str, env: Mapping[str, str]) -> dict[str, str]:
    """Run deploy/rabbitmq/users.sh with this `rabbitmqctl`; return each user's password."""
    script = (ROOT / "deploy" / "rabbitmq" / "users.sh").read_text()
    ours = f"rabbitmqctl() {{ '{tool}' -n '{env['RABBITMQ_NODENAME']}' \"$@\"; }}\n"
    done = subprocess.run(["bash", "-ec", ours + script], env=env, capture_output=True, text=True, check=True)
    return dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
