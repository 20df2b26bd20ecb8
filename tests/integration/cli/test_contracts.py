"""`contracts`: which files differ from the code."""

from pathlib import Path

from tests.support.command_line import Call, Result


def test_contracts_names_each_file_that_differs(call: Call, tmp_path: Path) -> None:
    where = ("--dir", str(tmp_path / "contracts"))
    missing = call("contracts", *where)
    assert missing.code == 1
    assert f"{tmp_path}/contracts/asyncapi.json: " in missing.err
    assert call("contracts", "--write", *where).code == 0
    assert call("contracts", *where).code == 0
    (tmp_path / "contracts" / "asyncapi.json").write_text("{}")
    differing = call("contracts", *where, "--json")
    assert differing.code == 1
    assert len(differing.json["differing"]) == 1
    assert differing.err.count("\n") == 1
    unwritable = call("contracts", "--write", "--dir", "/dev/null/contracts")
    assert unwritable == Result(1, "", "/dev/null/contracts: can't be written: Not a directory\n")
