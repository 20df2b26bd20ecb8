"""Each test module can be read, moved and run by itself: shared code stands in tests/support/."""

import ast
from collections.abc import Iterator

from tests.support.service_process import ROOT


def imports(*folders: str) -> Iterator[tuple[str, list[str]]]:
    """Each module of these folders with the parts of each name that it imports."""
    for module in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_bytes())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                source = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                for alias in node.names:
                    yield str(module.relative_to(ROOT)), ".".join([*source, alias.name]).split(".")


def test_no_test_module_is_imported() -> None:
    found = {
        f"{module} imports {'.'.join(name)}"
        for module, name in imports("tests")
        if any(part.startswith("test_") or part == "conftest" for part in name)
    }
    assert not found


def test_nothing_but_tests_imports_tests() -> None:
    assert not {module for module, name in imports("service", "deploy", "examples") if name[0] == "tests"}
