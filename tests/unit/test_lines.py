"""Files of lines, as `report --file` and `backtest` read them."""

import gzip
from itertools import chain
from pathlib import Path

import pytest

from image_moderation.cli.lines import CHUNK, MOST_LINE, open_lines, size_of
from image_moderation.cli.output import Failed


def read(file: Path, advanced: list[float]) -> list[bytes]:
    with open_lines(file, advanced.append) as chunks:
        return list(chain.from_iterable(chunks))


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_lines_are_whole_whatever_their_length(tmp_path: Path, compressed: bool, end: bytes) -> None:
    lines = [b"a", b"", b"b" * CHUNK, b"c" * (3 * CHUNK + 1), *(b"%d" % number for number in range(20_000))]
    content = b"\n".join(lines) + end
    file, advanced = tmp_path / "file", list[float]()
    file.write_bytes(gzip.compress(content) if compressed else content)
    assert read(file, advanced) == lines
    assert sum(advanced) == size_of(file) == file.stat().st_size


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * (2 * MOST_LINE) + b"\nlast")
    first, last = read(file, [])
    assert MOST_LINE <= len(first) <= MOST_LINE + CHUNK
    assert last == b"last"


def test_a_file_that_is_no_gzip_after_all_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"\x1f\x8bno")
    with pytest.raises(Failed, match="file: can't be read: "):
        read(file, [])
