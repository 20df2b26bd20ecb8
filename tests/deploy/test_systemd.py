"""deploy/systemd: systemd accepts the unit, and its exposure is low."""

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from image_moderation.settings import Settings
from image_moderation.settings.model import SECRETS
from image_moderation.settings.values import parse_duration
from tests.support.deploy_commands import DEPLOY, changed, faults, installed, run

UNIT = DEPLOY / "systemd" / "image-moderation.service"
PROGRAM = "/opt/image-moderation/bin/image-moderation"
MOST_EXPOSED = 15
"""Tenths of systemd's exposure level, 100 at most; the unit has 11, and releases differ a little."""


def verify_faults(unit: Path) -> str:
    """Return systemd's errors and warnings: for an unknown key, systemd only warns."""
    done = run(installed("systemd-analyze"), "verify", "--man=no", unit)
    return done.stderr + (f"exit {done.returncode}" if done.returncode else "")


def exposure_faults(unit: Path) -> str:
    options = ("--offline=yes", "--no-pager", f"--threshold={MOST_EXPOSED}")
    return faults(installed("systemd-analyze"), "security", *options, unit)


def as_if_installed(folder: Path, *edits: tuple[str, str]) -> Path:
    """Return a copy of the unit with an existing program, because systemd checks that it exists."""
    return changed(UNIT, folder / UNIT.name, [(PROGRAM, sys.executable), *edits])


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    assert verify_faults(as_if_installed(tmp_path)) == ""


@pytest.mark.parametrize(
    "edit",
    [("ProtectSystem=", "ProtectSytem="), ("Restart=on-failure", "Restart=on-failures")],
    ids=["unknown key", "unknown value"],
)
def test_a_typo_is_found(edit: tuple[str, str], tmp_path: Path) -> None:
    assert verify_faults(as_if_installed(tmp_path, edit))


def test_little_is_left_open(tmp_path: Path) -> None:
    assert not exposure_faults(UNIT)
    opened = [("SystemCallFilter=@system-service", ""), ("CapabilityBoundingSet=\n", "\n")]
    assert exposure_faults(changed(UNIT, tmp_path / UNIT.name, opened))


def test_the_service_takes_its_settings() -> None:
    lines = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if line[:1].isalpha())
    assert lines["ExecStart"] == f"{PROGRAM} serve"
    given = [
        line.split("=")[1] for line in UNIT.read_text().splitlines() if line.startswith("Environment=MOD")
    ]
    assert given == ["MODERATION_BROKER_URL_FILE"]
    assert given[0].removeprefix("MODERATION_").removesuffix("_FILE").lower() in SECRETS
    drain = Settings.load({"MODERATION_BROKER_URL": "redis://redis"}).shutdown_timeout
    assert parse_duration(lines["TimeoutStopSec"]) > drain + timedelta(seconds=5)
    assert lines["RestartPreventExitStatus"] == "2", "a configuration that can't be used ends it with 2"
