"""The transport's suite passes as the service's user with the rights of `deploy/`: NATS, RabbitMQ.

The suites of Redis and Kafka always run so.
"""

import os
import subprocess
import sys

import pytest

from tests.support.service_process import ROOT


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["nats", "rabbitmq"])
def test_the_transport_does_its_work_with_the_least_rights(name: str) -> None:
    suite = ["-k", name, "tests/contract/test_transport.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *suite],
        cwd=ROOT,
        env=os.environ | {"TEST_LEAST_RIGHTS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
