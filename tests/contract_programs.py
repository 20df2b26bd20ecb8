"""The programs that stand in contracts/README.md."""

import re

from tests.service_process import ROOT

README = ROOT / "contracts" / "README.md"


def program(part: str, language: str) -> str:
    """The code block of one language in one part of the README."""
    _, heading, rest = README.read_text(encoding="utf-8").partition(f"\n## {part}\n")
    assert heading, part
    section = rest.partition("\n## ")[0]
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, f"{part}: {len(blocks)} blocks of {language}"
    return str(blocks[0])
