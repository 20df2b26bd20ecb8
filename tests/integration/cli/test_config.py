"""`config`: the effective settings, without secrets."""

from pathlib import Path

from image_moderation.domain.policy import Policy
from image_moderation.settings import Settings
from tests.support.command_line import Call


def test_config_masks_secrets(call: Call) -> None:
    secrets = {"broker_url": "redis://app:hunter2@h:6379/0", "reporter_key": "k3y-k3y-k3y-k3y-k3y"}
    for arguments in (("config",), ("config", "--json")):
        result = call(*arguments, **secrets, report_window="12h")
        assert result.code == 0
        assert "hunter2" not in result.out
        assert "k3y" not in result.out


def test_config_says_where_each_value_comes_from(call: Call, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k3y-k3y-k3y-k3y-k3y")
    variables = {
        "broker_url": "redis://app:hunter2@h:6379/0",
        "reporter_key_file": str(tmp_path / "key"),
        "block_threshold": "7",
        "review_threshold": "off",
    }
    lines = dict(line.split("  # ") for line in call("config", **variables).out.splitlines())
    told = {line.rstrip().removeprefix("MODERATION_"): origin for line, origin in lines.items()}
    assert len(told) == len(Settings.model_fields) + 1
    assert told["BROKER_URL=redis://app:***@h:6379/0"] == "environment"
    assert told["STORE_URL=redis://app:***@h:6379/0"] == "MODERATION_BROKER_URL"
    assert told["REPORTER_KEY=***"] == "MODERATION_REPORTER_KEY_FILE"
    assert told["BLOCK_THRESHOLD=7"] == "environment"
    assert told["REPORT_WINDOW=30d"] == "default"
    assert told["REVIEW_THRESHOLD="] == "default: no number of reporters asks for a review"
    facts = call("config", "--json", **variables).json
    assert f"policy={facts['policy']}" in told
    assert facts["MODERATION_BLOCK_THRESHOLD"] == {"value": 7, "origin": "environment", "meaning": ""}
    assert facts["MODERATION_DECISION_RETENTION"] == {
        "value": None,
        "origin": "default",
        "meaning": "never trimmed",
    }


def test_config_prints_the_hash_of_the_policy(call: Call) -> None:
    for threshold in (5, 7):
        settings = {"broker_url": "redis://h:6379", "block_threshold": str(threshold)}
        policy = Policy(block_threshold=threshold).hash
        assert f"policy={policy} " in call("config", **settings).out
        assert call("config", "--json", **settings).json["policy"] == policy


def test_config_says_how_long_decided_images_are_remembered_at_least(call: Call) -> None:
    url = {"broker_url": "redis://h:6379"}
    assert "remembered for 37 days" in call("config", **url, block_retention="1d").err
    assert "remembered for 97 days" in call("config", **url, block_retention="1d", immunity="90d").err
    assert call("config", **url).err == ""
