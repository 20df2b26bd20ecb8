"""URLs of brokers and stores: what each scheme takes, what is refused and how, and what the document says."""

import re

import pytest

from image_moderation.settings import Settings, SettingsError
from image_moderation.urls import SCHEMES, Tls, UrlError, parse
from image_moderation.urls.redis_arguments import to_sentinels, to_servers
from tests.support.service_process import ROOT

SECRET = "hunter2"
STORE = {"MODERATION_STORE_URL": "redis://store"}


def test_every_part_is_read() -> None:
    url = parse("redis://me:p%40%2Fss@h1:6380/3?protocol=2&max_connections=64")
    assert (url.username, url.password, url.hosts, url.database) == ("me", "p@/ss", (("h1", 6380),), 3)
    assert dict(url.options) == {"protocol": 2, "max_connections": 64}
    assert url.tls is None
    assert "p@/ss" not in repr(url)
    assert parse("amqp://h/team%2Fpics").name == "team/pics"
    assert parse("nats://token@h1,[::1]:4333").addresses == ["h1:4222", "[::1]:4333"]
    assert parse("unix:///run/a%20b.sock?password=a+b").password == "a+b"
    sentinel = parse("redis+sentinel://h1,h2:7000/main/2?sentinel_username=u&sentinel_password=s%26")
    assert (sentinel.hosts, sentinel.name, sentinel.database) == ((("h1", 26379), ("h2", 7000)), "main", 2)
    assert to_sentinels(sentinel) == {"username": "u", "password": "s&"}
    assert to_servers(sentinel) == {"db": 2}


def test_the_certificates_of_a_url() -> None:
    ending = "ssl_ca_certs=/ca&ssl_certfile=/cert&ssl_keyfile=/key&ssl_check_hostname=false"
    url = parse(f"rediss+sentinel://:p@h/main?{ending}")
    assert url.tls == Tls("/ca", "/cert", "/key", verify=True, check_hostname=False)
    assert parse("amqps://h?cafile=/ca").tls == Tls("/ca")


@pytest.mark.parametrize(
    ("url", "why", "takes"),
    [
        ("redis://h?foo=bar", "an option foo that redis:// does not take", "db, max_connections, protocol"),
        ("redis://h?timeout=20", "an option timeout", "db, max_connections, protocol"),
        ("redis://h?decode_responses=True", "an option decode_responses", "db, max_connections, protocol"),
        ("redis://h?socket_timeout=abc", "an option socket_timeout", "db, max_connections, protocol"),
        ("redis://h?hunter2", "an option that redis:// does not take", "db, max_connections, protocol"),
        ("redis://h?&db=1", "an option that redis:// does not take", "db, max_connections, protocol"),
        ("redis://h?ssl_cert_reqs=none", "an option ssl_cert_reqs", "TLS by its scheme: rediss://"),
        ("redis://h?ssl=true", "an option ssl", "TLS by its scheme: rediss://"),
        ("rediss://h?ssl=true", "an option ssl that", "ssl_ca_certs"),
        ("redis+cluster://:hunter2@h?ssl=true", "an option ssl", "TLS by its scheme: rediss+cluster://"),
        ("redis+sentinel://h/m?ssl=true", "an option ssl", "TLS by its scheme: rediss+sentinel://"),
        ("nats://h?tls=true", "an option tls", "TLS by its scheme: nats+tls://"),
        ("amqp://h?cafile=/ca", "an option cafile", "TLS by its scheme: amqps://"),
        ("kafka://h?certfile=/cert", "an option certfile", "TLS by its scheme: kafka+tls://"),
        ("kafka://h?acks=0", "an option acks", "the options sasl"),
        ("nats+tls://h?ssl_ca_certs=/ca", "an option ssl_ca_certs", "cafile, certfile, keyfile"),
        (
            "rediss://h?ssl_cert_reqs=None",
            "ssl_cert_reqs is not valid",
            "with required or none: ",
        ),
        ("redis://h?protocol=4", "option protocol is not valid", "protocol with 2 or 3: "),
        ("redis://h?protocol=2&protocol=3", "option protocol twice", "redis://"),
        (
            "redis://h?max_connections=2",
            "max_connections is not valid",
            "with 32 to 10000: most",
        ),
        (
            "redis://h?max_connections=10001",
            "max_connections is not valid",
            "with 32 to 10000: most",
        ),
        ("unix:///r.sock?db=-1", "option db is not valid", "with 0 to 99999: "),
        ("amqp://h?heartbeat=abc", "option heartbeat is not valid", "with 1 to 3600: "),
        ("amqp://h?name=", "option name is not valid", "name with any text: "),
        (
            "kafka://u:hunter2@h?sasl=GSSAPI",
            "option sasl is not valid",
            "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        ),
        ("kafka://h?sasl=PLAIN", "option sasl would not be used", "user"),
        ("rediss://h?ssl_keyfile=/key", "option ssl_keyfile would not be used", "ssl_certfile"),
        (
            "redis+sentinel://h/m?sentinel_username=u",
            "would not be used",
            "sentinel_password",
        ),
        (
            "rediss://h?ssl_cert_reqs=none&ssl_ca_certs=/ca",
            "ssl_ca_certs would not be used",
            "one of the two",
        ),
        (
            "rediss://h?ssl_cert_reqs=none&ssl_check_hostname=true",
            "ssl_check_hostname would not",
            "one of the",
        ),
        ("redis://h/1?db=2", "two values for db", "one of the two"),
        ("unix://:hunter2@/r.sock?password=hunter2", "two values for password", "one of the two"),
        ("redis+sentinel://h/m?db=2", "an option db", "/name or /name/2"),
        ("redis+cluster://h?db=2", "an option db", "a Cluster has no databases"),
        ("redis+cluster://h/2", "path is not valid", "a Cluster has no databases"),
        ("redis+sentinel://h/m/2/3", "path is not valid", "/name or /name/2"),
        ("redis+sentinel://h", "path is not valid", "/name or /name/2"),
        ("nats://h/IMAGE", "path is not valid", "a path that is empty"),
        ("redis://h?password=hunter2", "an option password", "before the '@'"),
        ("nats://:hunter2@h", "a password without a user", "or a token alone"),
        ("nats://u:@h", "a user without a password", "or a token alone"),
        ("kafka://:hunter2@h", "a password without a user", "user and password"),
        ("kafka://hunter2@h", "a user without a password", "user and password"),
        ("amqp://hunter2@h", "a user without a password", "user and password"),
        ("nats://u:hunter2@h1,u:hunter2@h2", "more than one '@'", "one user and password for all hosts"),
        ("redis://u:1?hunter2@h", "a '@' after a '?'", "redis://"),
        ("redis://u:%ff%fehunter2@h", "its password has %-escapes that are not UTF-8", "redis://"),
        ("redis://h:0", "host or port is not valid", "redis://"),
    ],
)
def test_what_would_not_be_used_is_refused(url: str, why: str, takes: str) -> None:
    variable = "MODERATION_BROKER_URL" if SCHEMES[url.partition(":")[0]].broker else "MODERATION_STORE_URL"
    line = refused({"MODERATION_BROKER_URL": "redis://broker"} | STORE | {variable: url})
    assert line.startswith(f"{variable}: got a value that is not shown (it")
    got, _, right = line.partition("); takes ")
    assert why in got
    assert takes in right


def refused(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ)
    (line,) = str(caught.value).split("\n")
    assert SECRET not in line
    return line


def test_a_scheme_is_refused_where_it_is_not_served() -> None:
    with pytest.raises(UrlError, match="its scheme is not supported here"):
        parse("REDIS://h")
    assert "a Redis Cluster can be the store alone" in refused(
        {"MODERATION_BROKER_URL": "rediss+cluster://h"}
    )


def test_the_document_has_the_same_tables() -> None:
    text = (ROOT / "docs" / "brokers.md").read_text().partition("## URLs")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`]*)` \| (.*) \|$", text, re.MULTILINE)
    schemes = {
        f"{row.name}://": " | ".join(
            (
                "yes" if row.tls else "no",
                row.hosts.value + (f", port {row.port}" if row.port else ""),
                row.login.value,
                row.path.takes,
                ", ".join(f"`{option.name}`" for option in row.options) or "none",
            )
        )
        for row in SCHEMES.values()
    }
    options = {
        option.name: f"{option.takes} | {option.meaning}"
        for row in SCHEMES.values()
        for option in row.options
    }
    assert rows == [*schemes.items(), *options.items()]
