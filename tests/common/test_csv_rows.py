"""The one reader of CSV files: places in messages, headers, encodings, line ends and limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cyborg.common import csv_rows
from cyborg.common.csv_rows import (
    CsvRow,
    check_columns,
    check_exact_header,
    parse_csv_rows,
    read_csv_rows,
    read_csv_table,
)
from cyborg.common.errors import UserError, UserErrors


def write(folder: Path, content: bytes) -> Path:
    path = folder / "t.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark_change_nothing(
    tmp_path: Path, newline: str, mark: str
) -> None:
    lines = ["a , b", "", "1,\xe9", " , ", '"two', 'lines",x', "3,4"]
    path = write(tmp_path, (mark + newline.join(lines)).encode())
    table = read_csv_table(path, "data/t.csv")
    assert table.header.cells == ["a", "b"]
    assert [(row.location, row.cells) for row in table.rows] == [
        ("data/t.csv:3", ["1", "\xe9"]),
        ("data/t.csv:5", [f"two{newline}lines", "x"]),
        ("data/t.csv:7", ["3", "4"]),
    ]


def test_the_delimiter_of_the_first_line_is_used(tmp_path: Path) -> None:
    path = write(tmp_path, b"a;b;c\n1,5;2;3\n")
    assert [row.cells for row in read_csv_rows(path, delimiters=",;\t")][1] == ["1,5", "2", "3"]
    assert [len(row.cells) for row in read_csv_rows(path)] == [1, 2]


def test_an_empty_file_has_an_empty_header(tmp_path: Path) -> None:
    table = read_csv_table(write(tmp_path, b""))
    assert table.header == CsvRow(str(tmp_path / "t.csv"), 1, [])
    assert list(table.rows) == []


@pytest.mark.parametrize(
    ("content", "location", "what"),
    [
        (None, "t.csv", "there is no such file"),
        (b"a\n\xff\n", "t.csv", "is not UTF-8 text: byte 2 is wrong"),
        (b'a\n"b"c\n', "t.csv:2", "is not valid CSV"),
        (b'a\nb\n"never closed\n1\n2\n', "t.csv:5", "is not valid CSV"),
    ],
)
def test_what_is_no_csv_file(
    tmp_path: Path, content: bytes | None, location: str, what: str
) -> None:
    path = tmp_path / "t.csv" if content is None else write(tmp_path, content)
    with pytest.raises(UserError, match=what) as caught:
        list(read_csv_rows(path, "t.csv"))
    assert caught.value.text().startswith(f"error: {location}: ")


def test_a_folder_is_no_csv_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        list(read_csv_rows(tmp_path))


def test_a_large_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_rows, "MAX_BYTES", 4)
    assert len(list(read_csv_rows(write(tmp_path, b"a,b\n")))) == 1
    with pytest.raises(UserError, match=r"has 5 bytes\. CSV files of up to 4 bytes"):
        list(read_csv_rows(write(tmp_path, b"a,b\n1")))


def test_a_cell_may_be_long() -> None:
    long = "x" * 1_000_000
    assert [row.cells for row in parse_csv_rows(f"a,b\n{long},1\n", "t.csv")][1] == [long, "1"]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1"], "t.csv:4: has 1 cells, not 2\nhint: columns that stay empty keep their comma"),
        (["1", "2", "3"], "t.csv:4: has 3 cells, not 2\nhint: put text that contains a comma"),
    ],
)
def test_a_row_of_another_length_is_named(cells: list[str], message: str) -> None:
    assert CsvRow("t.csv", 4, ["1", "2"]).by_column(["a", "b"]) == {"a": "1", "b": "2"}
    with pytest.raises(UserError) as caught:
        CsvRow("t.csv", 4, cells).by_column(["a", "b"])
    assert message in caught.value.text()


def test_all_mistakes_of_a_header() -> None:
    header = CsvRow("t.csv", 1, ["name", "pth", "name"])
    with pytest.raises(UserErrors) as caught:
        check_columns(header, ["name", "path"], ["name", "path", "note"])
    assert caught.value.text().split("\n\n") == [
        "error: t.csv:1: `pth` is not a column\nhint: did you mean `path`? known: name, path, note",
        "error: t.csv:1: column `path` is missing\nhint: did you mean `pth`? "
        "known: name, pth, name",
        "error: t.csv:1: duplicate column `name`\nhint: rename or remove one of the two columns",
    ]
    check_columns(CsvRow("t.csv", 1, ["other", "path", "name", "other"]), ["name", "path"])
    with pytest.raises(UserErrors, match="hint: add path"):
        check_columns(header, ["name", "path"], None, lambda column: f"add {column}")


def test_an_exact_header() -> None:
    check_exact_header(CsvRow("t.csv", 1, ["a", "b"]), ["a", "b"])
    for cells in ([], ["b", "a"], ["a"], ["a", "b", "c"]):
        with pytest.raises(UserError, match="hint: expected: `a,b`"):
            check_exact_header(CsvRow("t.csv", 1, cells), ["a", "b"])


@given(st.text(alphabet='ab ,;"\n\r\t\0', max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        rows = list(parse_csv_rows(text, "t.csv", ",;"))
    except UserError:
        return
    lines = [row.line for row in rows]
    assert lines == sorted(set(lines))
    assert all(any(row.cells) for row in rows)
