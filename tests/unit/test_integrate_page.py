"""docs/integrate.md: its code is code, and its one statement keeps the newest decision."""

import itertools
import re
import sqlite3

from tests.support.service_process import ROOT

PAGE = (ROOT / "docs" / "integrate.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def test_the_python_is_python() -> None:
    blocks = [text for language, text in BLOCKS if language == "python"]
    assert len(blocks) == 4
    for text in blocks:
        compile(text, "docs/integrate.md", "exec")


def test_the_statement_keeps_the_newest_decision_in_any_order() -> None:
    """Each decision twice, and one of an image that the site has deleted."""
    [statement] = [text for language, text in BLOCKS if language == "sql"]
    decisions = [
        {"image_id": "img-1", "blocked": True, "decided_at": "2026-03-01T09:00:00.000Z"},
        {"image_id": "img-1", "blocked": False, "decided_at": "2026-03-01T09:00:00.001Z"},
        {"image_id": "img-1", "blocked": True, "decided_at": "2026-11-01T09:00:00.000Z"},
        {"image_id": "deleted", "blocked": True, "decided_at": "2026-12-01T09:00:00.000Z"},
    ]
    for order in itertools.permutations(decisions):
        with sqlite3.connect(":memory:") as database:
            database.execute("CREATE TABLE images (id TEXT PRIMARY KEY, blocked BOOLEAN, decided_at TEXT)")
            database.execute("INSERT INTO images VALUES ('img-1', FALSE, NULL)")
            for decision in [*order, *order]:
                database.execute(statement, decision)
            rows = database.execute("SELECT * FROM images").fetchall()
        assert rows == [("img-1", True, "2026-11-01T09:00:00.000Z")]
        database.close()
