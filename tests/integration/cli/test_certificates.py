"""MODERATION_BROKER_CA, _CERT and _KEY, and the store's: what is refused before anything is connected."""

from pathlib import Path

import pytest

from image_moderation.cli.settings_files import choose
from image_moderation.settings import Settings, SettingsError
from image_moderation.urls import BROKER_SCHEMES, STORE_SCHEMES, Tls, parse
from tests.support.command_line import Call
from tests.support.tls import Authority

SECRET = "hunter2"
COMMANDS = (
    ("serve",),
    ("report", "img-42"),
    ("review", "img-42", "--verdict", "upheld"),
    ("watch",),
    ("inspect", "img-42"),
    ("blocked",),
    ("republish", "img-42"),
    ("forget", "img-42", "--yes"),
    ("dead-letters", "list"),
    ("backtest", "--from-broker"),
    ("config",),
)
PATHS = {"redis+sentinel": "/main", "rediss+sentinel": "/main"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def load(**variables: object) -> Settings:
    return Settings.load({f"MODERATION_{name}": str(value) for name, value in variables.items()})


def refused(**variables: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load(**variables)
    assert SECRET not in str(caught.value)
    (line,) = str(caught.value).splitlines()
    return line


def urls(side: str, *, tls: bool) -> list[str]:
    names = BROKER_SCHEMES if side == "BROKER" else STORE_SCHEMES
    made = [f"{name}://h{PATHS.get(name, '')}" for name in names if name != "unix"]
    return [url for url in made if (parse(url).tls is not None) == tls]


@pytest.mark.parametrize("side", ["BROKER", "STORE"])
def test_they_mean_the_same_on_every_broker_and_store(authority: Authority, side: str) -> None:
    own = authority.sign("own")
    files = {f"{side}_CA": authority.file, f"{side}_CERT": own.file, f"{side}_KEY": own.key}
    tls = Tls(str(authority.file), str(own.file), str(own.key))
    other = {"STORE_URL": "redis://store"} if side == "BROKER" else {"BROKER_URL": "nats://broker"}
    for url in urls(side, tls=True):
        settings = load(**other, **files, **{f"{side}_URL": url})
        addresses = {"BROKER": settings.broker_address, "STORE": settings.store_address}
        assert parse(addresses.pop(side)).tls == tls
        assert parse(*addresses.values()).tls is None
    for url in urls(side, tls=False):
        (secure,) = [one for one in urls(side, tls=True) if parse(one).scheme == parse(url).scheme.over_tls]
        assert refused(**other, **{f"{side}_URL": url, f"{side}_CA": authority.file}) == (
            f"MODERATION_{side}_CA: got '{authority.file}', but {url.partition(':')[0]}:// has no TLS; "
            f"takes off, or MODERATION_{side}_URL with {secure.partition(':')[0]}://"
        )


def test_the_store_that_is_the_broker_has_its_files(authority: Authority) -> None:
    settings = load(BROKER_URL="rediss://h", BROKER_CA=authority.file)
    assert settings.store_is_broker
    assert settings.store_address == settings.broker_address == f"rediss://h?ssl_ca_certs={authority.file}"
    both = load(BROKER_URL="rediss://h", BROKER_CA=authority.file, STORE_CA=authority.file)
    assert both.store_address == settings.store_address
    named = load(BROKER_URL="rediss://h", STORE_URL="rediss://h", STORE_CA=authority.file)
    assert named.store_is_broker
    assert named.broker_address == "rediss://h"
    assert refused(BROKER_URL="rediss://h", STORE_CA=authority.file) == (
        f"MODERATION_STORE_CA: got '{authority.file}', but MODERATION_STORE_URL is unset, so the store is "
        "the broker; takes MODERATION_BROKER_CA, or MODERATION_STORE_URL beside it"
    )


def test_what_can_not_be_used_names_its_variable(authority: Authority, tmp_path: Path) -> None:
    own, other = authority.sign("own"), authority.sign("other")
    text = tmp_path / "text"
    text.write_text(SECRET)
    der = tmp_path / "der"
    der.write_bytes(b"\x30\x82\x01")
    whole = {"CERT": own.file, "KEY": own.key}
    for files, line in {
        (
            "CA",
            tmp_path / "none",
        ): "CA: got {}, which can't be read (No such file or directory); ",
        ("CA", tmp_path): "CA: got {}, which is not a file; takes the path of a PEM file: the authorities",
        ("CA", text): "CA: got {}, which holds no certificate in PEM format; ",
        ("CA", own.key): "CA: got {}, which holds no certificate in PEM format; ",
        ("CA", SECRET): "CA: got a path that is not shown, which can't be read (No such file or directory); ",
        ("CERT", der): "CERT: got {}, which holds no certificate in PEM format; ",
        ("KEY", text): "KEY: got {}, which holds no key in PEM format; ",
        ("KEY", own.file): "KEY: got {}, which holds no key in PEM format; ",
        ("KEY", other.key): "KEY: got {}, which holds the key of another certificate; ",
        ("KEY", "off"): f"CERT: got '{own.file}', but no key; takes MODERATION_BROKER_KEY beside it, or off",
        ("CERT", "off"): f"KEY: got '{own.key}', but no certificate; takes MODERATION_BROKER_CERT beside it",
    }.items():
        end, path = files
        given = {f"BROKER_{name}": value for name, value in (whole | {end: path}).items()}
        shown = line.replace("{}", f"'{path}'")
        assert refused(BROKER_URL="rediss://h", **given).startswith(f"MODERATION_BROKER_{shown}")
        given = {f"STORE_{name}": value for name, value in (whole | {end: path}).items()}
        shown = shown.replace("_BROKER_", "_STORE_")
        assert refused(BROKER_URL="nats://h", STORE_URL="rediss+cluster://h", **given).startswith(
            f"MODERATION_STORE_{shown}"
        )


def test_what_the_url_has_as_well(authority: Authority) -> None:
    own, other = authority.sign("own"), authority.sign("other")
    url = f"nats+tls://h?cafile={authority.file}&certfile={own.file}&keyfile={own.key}"
    twice = load(BROKER_URL=url, BROKER_CA=authority.file, BROKER_KEY=own.key, STORE_URL="redis://h")
    assert twice.broker_address == url
    line = refused(BROKER_URL=url, BROKER_KEY=other.key, STORE_URL="redis://h")
    assert line == (
        f"MODERATION_BROKER_KEY: got '{other.key}', but MODERATION_BROKER_URL has another in its option "
        "keyfile; takes one of the two"
    )
    line = refused(BROKER_URL="rediss://h?ssl_cert_reqs=none", BROKER_CA=authority.file)
    assert "but MODERATION_BROKER_URL has ssl_cert_reqs=none; takes one of the two" in line
    # A file of the URL's with a variable's: the pair is what counts.
    line = refused(BROKER_URL=f"amqps://h?certfile={own.file}", STORE_URL="redis://h")
    assert line.startswith("MODERATION_BROKER_URL: got a value that is not shown (its option certfile names")
    mixed = load(BROKER_URL=f"amqps://h?certfile={own.file}", BROKER_KEY=own.key, STORE_URL="redis://h")
    assert parse(mixed.broker_address).tls == Tls(None, str(own.file), str(own.key))
    with pytest.raises(SettingsError) as caught:
        Settings.load({"MODERATION_BROKER_CA": "/ca"}, embedded_url="unix:///r")
    line = str(caught.value)
    assert line == "MODERATION_BROKER_CA: got '/ca', but unix:// has no TLS; takes off"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_refuses_them(call: Call, command: tuple[str, ...]) -> None:
    result = call(
        *command,
        broker_url="rediss://127.0.0.1:1",
        broker_ca="/none/ca.pem",
        store_url="redis://127.0.0.1:1",
        store_ca="/none/ca.pem",
    )
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "MODERATION_BROKER_CA: got '/none/ca.pem', which can't be read (No such file or directory); "
        "takes the path of a PEM file: the authorities to trust instead of the system's\n"
        "MODERATION_STORE_CA: got '/none/ca.pem', but redis:// has no TLS; "
        "takes off, or MODERATION_STORE_URL with rediss://\n"
    )


def test_config_says_where_each_comes_from(call: Call, authority: Authority) -> None:
    own = authority.sign("own")
    url = f"rediss://:{SECRET}@h?ssl_certfile={own.file}&ssl_keyfile={own.key}"
    result = call("config", "--json", broker_url=url, broker_ca=str(authority.file))
    shown = {
        name.removeprefix("MODERATION_"): (one["value"], one["origin"])
        for name, one in result.json.items()
        if name.endswith(("_CA", "_CERT", "_KEY")) and "REPORTER" not in name
    }
    assert shown == {
        "BROKER_CA": (str(authority.file), "environment"),
        "BROKER_CERT": (str(own.file), "MODERATION_BROKER_URL"),
        "BROKER_KEY": (str(own.key), "MODERATION_BROKER_URL"),
        "STORE_CA": (str(authority.file), "MODERATION_BROKER_CA"),
        "STORE_CERT": (str(own.file), "MODERATION_BROKER_URL"),
        "STORE_KEY": (str(own.key), "MODERATION_BROKER_URL"),
    }
    assert SECRET not in result.out
    bare = call("config", "--json", broker_url="rediss://h").json["MODERATION_BROKER_CA"]
    assert bare == {"value": None, "origin": "default", "meaning": "the system's authorities"}


def test_a_replay_connects_to_nothing_and_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_BROKER_CA", "/none/ca.pem")
    monkeypatch.setenv("MODERATION_BLOCK_THRESHOLD", "7")
    (chosen,) = choose(())
    assert chosen.setting.policy.block_threshold == 7
