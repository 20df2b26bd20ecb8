"""Settings: what each variable takes, how a wrong one is reported, and that no secret is ever shown."""

import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from image_moderation.domain.policy import Policy
from image_moderation.settings import Settings, SettingsError, milliseconds
from image_moderation.settings.effective import effective
from image_moderation.store.durability import Durability
from image_moderation.wiring import durability, policy

BROKER = {"MODERATION_BROKER_URL": "redis://user:hunter2@broker:6379/0?protocol=3"}
SECRET = "hunter2"


def load(**variables: str) -> Settings:
    return Settings.load(BROKER | {f"MODERATION_{name}": value for name, value in variables.items()})


def shown(settings: Settings) -> dict[str, object]:
    return {name: one.value for name, one in effective(settings, {}).items()}


def refused(environ: Mapping[str, str], embedded_url: str | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ, embedded_url=embedded_url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value).split("\n")


def test_defaults() -> None:
    settings = load()
    assert (settings.block_threshold, settings.batch_size, settings.max_event_bytes) == (5, 500, 65_536)
    assert milliseconds(settings.report_window) == 30 * 86_400_000
    assert settings.dead_letter_max_bytes == 256 * 1024 * 1024
    assert settings.decision_retention is None
    assert settings.reporter_key_bytes is None
    assert settings.store_is_broker
    assert settings.store_address == BROKER["MODERATION_BROKER_URL"]
    assert settings.log_format is None
    assert milliseconds(settings.immunity) == 30 * 86_400_000
    assert (settings.review_threshold, settings.review_grace, settings.urgent_reasons) == (None, None, ())
    assert (settings.max_blocks_per_hour, settings.mode) == (None, "live")
    assert settings.http_allowed_hosts == ()
    assert load(HTTP_ALLOWED_HOSTS="A.example, *.pods").http_allowed_hosts == ("a.example", "*.pods")


def test_other_variables_and_the_process_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_BLOCK_THRESHOLD", "7")
    monkeypatch.setenv("BLOCK_THRESHOLD", "8")
    assert Settings.load(BROKER | {"BLOCK_THRESHOLD": "9", "PATH": "/bin"}).block_threshold == 5


def test_a_dotenv_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("MODERATION_BLOCK_THRESHOLD=7\n")
    monkeypatch.chdir(tmp_path)
    assert load().block_threshold == 5


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_BROKER_URL", "redis://localhost")
    monkeypatch.setenv("MODERATION_BLOCK_THRESHOLD", "7")
    assert Settings.load().block_threshold == 7


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load().block_threshold = 6  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("15m", timedelta(minutes=15)),
        ("90s", timedelta(seconds=90)),
        ("1500ms", timedelta(milliseconds=1500)),
        ("P30D", timedelta(days=30)),
        ("P2W", timedelta(weeks=2)),
        ("P1DT2H3M4.5S", timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        (" PT12H ", timedelta(hours=12)),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    assert load(REPORT_WINDOW=text).report_window == duration


def test_how_safe_a_write_must_be() -> None:
    assert durability(load()) == Durability(replicas=0, fsync=False)
    assert durability(load(STORE_MIN_REPLICAS="off", STORE_FSYNC="OFF")) == Durability()
    assert durability(load(STORE_MIN_REPLICAS="2", STORE_FSYNC="On")) == Durability(replicas=2, fsync=True)


@pytest.mark.parametrize("unset", ["", " ", "off", "OFF"])
def test_off_and_empty_mean_unset(unset: str) -> None:
    settings = load(
        BLOCK_THRESHOLD=unset,
        DECISION_RETENTION=unset,
        STORE_URL=unset,
        REPORTER_KEY=unset,
        BROKER_URL_FILE=unset,
    )
    assert settings.block_threshold == 5
    assert settings.decision_retention is None
    assert settings.store_is_broker
    assert settings.reporter_key is None


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("BLOCK_THRESHOLD", "0", "from 1 to 1,000"),
        ("BLOCK_THRESHOLD", "1001", "from 1 to 1,000"),
        ("BLOCK_THRESHOLD", "five", "a whole number"),
        ("BLOCK_THRESHOLD", "2.5", "a whole number"),
        ("BLOCK_THRESHOLD", "9" * 5_000, "a whole number"),
        ("BATCH_SIZE", "5001", "from 1 to 5,000"),
        ("STORE_MIN_REPLICAS", "17", "from 0 to 16"),
        ("STORE_FSYNC", "yes", "on or off"),
        ("MAX_EVENT_BYTES", "1023", "from 1,024 to 1,048,576"),
        ("MAX_DELIVERIES", "0", "from 1 to 1,000"),
        ("DEAD_LETTER_MAX_BYTES", "1048575", "from 1,048,576 to 1,099,511,627,776"),
        ("HTTP_PORT", "65536", "from 0 to 65,535"),
        ("HTTP_HOST", "a b", "host name"),
        ("HTTP_ALLOWED_HOSTS", "a.example,,b.example", "is not a host name"),
        ("HTTP_ALLOWED_HOSTS", "https://a.example", "is not a host name"),
        ("HTTP_ALLOWED_HOSTS", "a.example:8080", "host names without a port"),
        ("HTTP_ALLOWED_HOSTS", "*", "*.name takes all below a name"),
        ("KEY_PREFIX", "a{b}", "1 to 64 of"),
        ("KEY_PREFIX", "a" * 65, "1 to 64 of"),
        ("CONSUMER_GROUP", "a b", "without spaces"),
        ("CONSUMER_NAME", "a" * 129, "1 to 128"),
        ("LOG_LEVEL", "loud", "debug, info"),
        ("LOG_FORMAT", "xml", "json or console"),
        ("REPORT_WINDOW", "30", "written 30d"),
        ("REPORT_WINDOW", "-1d", "written 30d"),
        ("REPORT_WINDOW", "P", "ISO 8601"),
        ("REPORT_WINDOW", "P1DT", "ISO 8601"),
        ("REPORT_WINDOW", "P1Y", "ISO 8601"),
        ("REPORT_WINDOW", "\u0661d", "written 30d"),
        ("REPORT_WINDOW", "999ms", "from 1s to 3650d"),
        ("REPORT_WINDOW", "3651d", "from 1s to 3650d"),
        ("REPORT_WINDOW", "999999999999999d", "from 1s to 3650d"),
        ("DECISION_RETENTION", "0s", "from 10m"),
        ("SHUTDOWN_TIMEOUT", "11m", "from 1s to 10m"),
        ("IMMUNITY", "3651d", "from 0s to 3650d"),
        ("REVIEW_THRESHOLD", "0", "from 1 to 999"),
        ("REVIEW_GRACE", "0s", "from 1s to 365d"),
        ("MAX_BLOCKS_PER_HOUR", "0", "from 1 to 1,000,000"),
        ("MODE", "dark", "live or shadow"),
        ("URGENT_REASONS", "csam,,terrorism", "reasons separated by commas"),
        ("URGENT_REASONS", "csam,", "reasons separated by commas"),
        ("URGENT_REASONS", "CSAM", "('CSAM' is not a reason"),
        ("URGENT_REASONS", "csam terrorism", "is not a reason that a report can have"),
        ("URGENT_REASONS", "a" * 65, "is not a reason that a report can have"),
    ],
)
def test_an_unusable_value_is_reported_in_one_line(name: str, value: str, takes: str) -> None:
    (line,) = refused(BROKER | {f"MODERATION_{name}": value})
    assert line.startswith(f"MODERATION_{name}: got {ascii(value)[:40]}"[:70])
    assert f"; takes {Settings.model_fields[name.lower()].description}" in line
    assert takes in line
    assert len(line) < 330


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BROKER_URL", "mqtt://hunter2:1883", "its scheme is not supported here"),
        ("BROKER_URL", "redis+cluster://hunter2", "a Redis Cluster can be the store alone: "),
        ("BROKER_URL", "rediss+cluster://hunter2", "a Redis Cluster can be the store alone: "),
        ("BROKER_URL", "hunter2", "it is not a URL"),
        ("BROKER_URL", "redis://:hunter2@", "it names no host"),
        ("BROKER_URL", "redis://u:1/hunter2@host", "its path"),
        ("BROKER_URL", "redis://u:hunter2/x@host", "its host or port is not valid"),
        ("BROKER_URL", "redis://u:1#hunter2@host", "'#'"),
        ("BROKER_URL", "redis://u:hunter2@host:99999", "its host or port is not valid"),
        ("BROKER_URL", "redis://u:hunter2 @host", "spaces"),
        ("BROKER_URL", "unix://hunter2", "it names a host"),
        ("BROKER_URL", "unix://", "its path"),
        ("STORE_URL", "nats://hunter2", "redis+sentinel://"),
        ("STORE_URL", "redis+sentinel://h1,h2?password=hunter2", "name of the primary"),
        ("STORE_URL", "redis+cluster://h1,,h2/hunter2", "it names no host"),
        ("REPORTER_KEY", "hunter2", "it has 7 bytes"),
        ("REPORTER_KEY", "hunter2" * 10, "it has 70 bytes"),
        ("REPORTER_KEY", "hunter2hunter2\udcff\udcff\udcff", "16 to 64 bytes"),
        ("REPORTER_KEY_FILE", "hunter2", "can't be read"),
    ],
)
def test_an_unusable_secret_is_reported_without_its_value(name: str, value: str, says: str) -> None:
    (line,) = refused(BROKER | {f"MODERATION_{name}": value})
    assert line.startswith(f"MODERATION_{name}: got a ")
    assert says in line
    assert "; takes " in line


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("MODERATION_BLOCK_TRESHOLD", "did you mean MODERATION_BLOCK_THRESHOLD?"),
        ("moderation_block_threshold", "did you mean MODERATION_BLOCK_THRESHOLD?"),
        ("MODERATION_REPORTER_KEY_FLIE", "did you mean MODERATION_REPORTER_KEY_FILE?"),
        ("MODERATION_PORT_8080_TCP_ADDR", "enableServiceLinks: false"),
        ("MODERATION_BLOCK_THRESHOLD_FILE", "unknown variable"),
        ("MODERATION_SEVERITY", "this version has no variable of that name"),
    ],
)
def test_an_unknown_variable_is_refused(name: str, says: str) -> None:
    (line,) = refused(BROKER | {name: SECRET})
    assert line.startswith(f"{name}: unknown variable")
    assert says in line


def test_every_fault_has_its_line() -> None:
    lines = refused({"MODERATION_BATCH_SIZE": "0", "MODERATION_BLOCK_THRESHOLD": "x", "MODERATION_NONE": ""})
    assert [line.split(":")[0] for line in lines] == [
        "MODERATION_NONE",
        "MODERATION_BROKER_URL",
        "MODERATION_BLOCK_THRESHOLD",
        "MODERATION_BATCH_SIZE",
    ]
    assert lines[1] == (
        "MODERATION_BROKER_URL: got nothing; takes the broker's URL: redis://, rediss://, unix://, "
        "redis+sentinel://, rediss+sentinel://, kafka://, kafka+tls://, amqp://, amqps://, nats:// or nats+tls://"
    )


def test_secrets_from_files(tmp_path: Path) -> None:
    url, key = tmp_path / "url", tmp_path / "key"
    url.write_text("unix:///run/redis.sock\n")
    key.write_bytes(b" 16 bytes or more \r\n")
    settings = Settings.load(
        {"MODERATION_BROKER_URL_FILE": str(url), "MODERATION_REPORTER_KEY_FILE": str(key)}
    )
    assert settings.broker_address == "unix:///run/redis.sock"
    assert settings.reporter_key_bytes == b" 16 bytes or more "


def test_unusable_files(tmp_path: Path) -> None:
    contents = {"empty": b"\n", "binary": b"\xff" * 16, "short": SECRET.encode()}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    says = {
        "missing": "can't be read (No such file or directory)",
        "empty": "which is empty",
        "binary": "not UTF-8",
        "short": "MODERATION_REPORTER_KEY (from MODERATION_REPORTER_KEY_FILE): got a value that is not shown",
    }
    for name, text in says.items():
        (line,) = refused(BROKER | {"MODERATION_REPORTER_KEY_FILE": str(tmp_path / name)})
        assert text in line


@pytest.mark.timeout(10)  # it must not wait for a FIFO's writer, or for the end of a device
def test_a_secret_is_read_from_a_small_regular_file_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"x" * 16_385)
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        says = {
            tmp_path / "fifo": "is a FIFO, a socket or a device, not a regular file",
            tmp_path / "link": "is a FIFO, a socket or a device, not a regular file",
            tmp_path / "socket": "is a FIFO, a socket or a device, not a regular file",
            Path("/dev/zero"): "is a FIFO, a socket or a device, not a regular file",
            Path("/dev/null"): "is a FIFO, a socket or a device, not a regular file",
            tmp_path: "is a folder, not a regular file",
            tmp_path / "large": "has more than 16,384 bytes",
        }
        for variable in ("BROKER_URL_FILE", "STORE_URL_FILE", "REPORTER_KEY_FILE"):
            environ = {} if variable == "BROKER_URL_FILE" else BROKER
            for path, text in says.items():
                (line,) = refused(environ | {f"MODERATION_{variable}": str(path)})
                assert line == (
                    f"MODERATION_{variable}: got {str(path)!a}, which {text}; "
                    "takes the path of a file that holds the value"
                )


def test_a_secret_may_be_behind_links_as_kubernetes_mounts_it(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "key").write_text("16 bytes or more")
    (tmp_path / "key").symlink_to(Path("..data") / "key")
    assert load(REPORTER_KEY_FILE=str(tmp_path / "key")).reporter_key_bytes == b"16 bytes or more"


def test_contradictions(tmp_path: Path) -> None:
    both = BROKER | {"MODERATION_BROKER_URL_FILE": str(tmp_path / "url")}
    assert refused(both) == [
        "MODERATION_BROKER_URL: is set together with MODERATION_BROKER_URL_FILE; takes one of the two"
    ]
    (line,) = refused(BROKER, embedded_url="unix:///run/embedded.sock")
    assert line.startswith("MODERATION_BROKER_URL: is set together with --embedded")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        (
            {"REVIEW_THRESHOLD": "5"},
            "got 5, which is not below MODERATION_BLOCK_THRESHOLD (5); takes fewer, or off",
        ),
        (
            {"REVIEW_GRACE": "2h", "MAX_BLOCKS_PER_HOUR": "9"},
            "got 2h, but no setting asks for a review; set MODERATION_REVIEW_THRESHOLD or ",
        ),
    ],
)
def test_contradictions_of_the_policy(variables: dict[str, str], says: str) -> None:
    environ = BROKER | {f"MODERATION_{name}": value for name, value in variables.items()}
    (line,) = refused(environ)
    assert line.startswith(f"MODERATION_{next(iter(variables))}: {says}")
    assert refused(environ | {"MODERATION_NONE": "1"})[1:] == [line]


def test_the_options_of_the_policy() -> None:
    settings = load(
        IMMUNITY="0s",
        REVIEW_THRESHOLD="4",
        REVIEW_GRACE="PT2H",
        URGENT_REASONS=" csam, terrorism ,csam",
        MAX_BLOCKS_PER_HOUR="100",
        MODE="Shadow",
    )
    rule = policy(settings)
    assert (rule.immunity, rule.review_threshold, rule.review_grace) == (0, 4, 7_200_000)
    assert (rule.urgent_reasons, rule.max_blocks_per_hour) == (frozenset({"csam", "terrorism"}), 100)
    assert rule.shadow
    assert shown(settings)["MODERATION_URGENT_REASONS"] == "csam,terrorism"
    assert shown(settings)["MODERATION_REVIEW_GRACE"] == "2h"
    assert load(REVIEW_GRACE="2h", URGENT_REASONS="csam").review_grace == timedelta(hours=2)
    assert policy(load()) == Policy()
    assert shown(load())["MODERATION_URGENT_REASONS"] is None


def test_embedded_url_is_the_broker() -> None:
    settings = Settings.load({}, embedded_url="unix:///run/embedded.sock")
    assert settings.broker_address == settings.store_address == "unix:///run/embedded.sock"


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://:hunter2@h:6379/1", "redis://:***@h:6379/1"),
        ("rediss://bob:hunter2@[::1]:6379", "rediss://bob:***@[::1]:6379"),
        ("redis://hunter2@h", "redis://***@h"),
        ("redis://hunter2:@h", "redis://***@h"),
        ("redis://bob:hunter2@hunter@h", "redis://bob:***@h"),
        ("unix:///run/r.sock?db=1&password=hunter2", "unix:///run/r.sock?***"),
        ("redis+cluster://u:hunter2@h1:7000,h2", "redis+cluster://u:***@h1:7000,h2"),
        ("redis+sentinel://:hunter2@h1,h2:26379/main/2", "redis+sentinel://:***@h1,h2:26379/main/2"),
    ],
)
def test_effective_masks_addresses(url: str, masked: str) -> None:
    settings = load(STORE_URL=url)
    assert shown(settings)["MODERATION_STORE_URL"] == masked
    assert not settings.store_is_broker


def test_effective_shows_every_variable_as_it_may_be_written() -> None:
    settings = load(REPORTER_KEY=SECRET * 3, REPORT_WINDOW="PT36H", CONSUMER_NAME="one")
    values = shown(settings)
    assert list(values) == [f"MODERATION_{name.upper()}" for name in Settings.model_fields]
    assert values["MODERATION_REPORT_WINDOW"] == "36h"
    assert values["MODERATION_DECISION_RETENTION"] is None
    assert values["MODERATION_REPORTER_KEY"] == "***"
    assert (
        values["MODERATION_STORE_URL"]
        == values["MODERATION_BROKER_URL"]
        == "redis://user:***@broker:6379/0?***"
    )
    assert SECRET not in f"{values} {settings!r} {settings}"


def test_effective_says_where_each_value_comes_from(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET * 3)
    environ = BROKER | {
        "MODERATION_REPORTER_KEY_FILE": str(tmp_path / "key"),
        "MODERATION_BATCH_SIZE": "500",
        "MODERATION_MODE": "off",
    }
    found = effective(Settings.load(environ), environ)
    assert {name: one.origin for name, one in found.items() if one.origin != "default"} == {
        "MODERATION_BROKER_URL": "environment",
        "MODERATION_STORE_URL": "MODERATION_BROKER_URL",
        "MODERATION_REPORTER_KEY": "MODERATION_REPORTER_KEY_FILE",
        "MODERATION_BATCH_SIZE": "environment",
    }


def test_effective_says_what_it_means_that_a_variable_is_unset() -> None:
    found = effective(load(), BROKER)
    unset = {name for name, one in found.items() if one.value is None}
    assert unset == {name for name, one in found.items() if one.meaning} - {"MODERATION_CONSUMER_NAME"}
    assert found["MODERATION_LOG_FORMAT"].meaning == "console on a terminal, json elsewhere"


def test_a_consumer_name_is_made_once_a_load() -> None:
    one, other = load(), load()
    assert one.consumer_name == one.consumer_name != other.consumer_name
