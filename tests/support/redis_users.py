"""The users of deploy/redis/users.acl on a test's server, each with a password made of its name."""

from typing import Any

import redis

from tests.support.service_process import ROOT

USERS = ROOT / "deploy" / "redis" / "users.acl"


def password(user: str) -> str:
    return f"password-of-{user}"


def create_users(url: str) -> None:
    """Create the users on a running server. The default user stays as it is, for the test itself."""
    with redis.Redis.from_url(url) as client:
        execute: Any = client.execute_command  # untyped in redis-py
        for line in USERS.read_text().splitlines():
            _, user, *rules = line.split()
            if user != "default":
                execute("ACL", "SETUSER", user, "reset", *rules, f">{password(user)}")


def url_of(user: str, url: str) -> str:
    """Return the same URL for one of the users."""
    return url.replace("://", f"://{user}:{password(user)}@", 1)
