"""`config`: the effective settings, without secrets."""

from image_moderation.domain.policy import Policy
from tests.support.command_line import Call


def test_config_masks_secrets(call: Call) -> None:
    secrets = {"broker_url": "redis://app:hunter2@h:6379/0", "reporter_key": "k3y-k3y-k3y-k3y-k3y"}
    for arguments in (("config",), ("config", "--json")):
        result = call(*arguments, **secrets, report_window="12h")
        assert result.code == 0
        assert "hunter2" not in result.out
        assert "k3y" not in result.out
    lines = call("config", **secrets).out.splitlines()
    assert "MODERATION_BROKER_URL=redis://app:***@h:6379/0" in lines
    assert "MODERATION_REPORTER_KEY=***" in lines
    assert "MODERATION_DECISION_RETENTION=off" in lines
    assert "MODERATION_BLOCK_THRESHOLD=5" in lines


def test_config_prints_the_hash_of_the_policy(call: Call) -> None:
    for threshold in (5, 7):
        settings = {"broker_url": "redis://h:6379", "block_threshold": str(threshold)}
        policy = Policy(block_threshold=threshold).hash
        assert f"policy={policy}" in call("config", **settings).out.splitlines()
        assert call("config", "--json", **settings).json["policy"] == policy


def test_config_says_how_long_decided_images_are_remembered_at_least(call: Call) -> None:
    url = {"broker_url": "redis://h:6379"}
    assert "remembered for 37 days" in call("config", **url, block_retention="1d").err
    assert "remembered for 97 days" in call("config", **url, block_retention="1d", immunity="90d").err
    assert call("config", **url).err == ""
