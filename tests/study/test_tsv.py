"""Bytes to cells."""

import csv
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remanent.study.tsv import LONGEST_LINE_BYTES, parse_sheet, read_sheet


def cells(raw, file="t.tsv"):
    sheet, problems = parse_sheet(raw, file)
    if sheet is None:
        return None, None, None, [(p.row, p.action) for p in problems]
    rows = [sheet.cells.to_pylist()[i : i + len(sheet.header)] for i in range(0, len(sheet.cells), len(sheet.header))]
    return sheet.header, rows, sheet.line.tolist(), [(p.row, p.action) for p in problems]


def words(raw):
    return " ".join(p.problem for p in parse_sheet(raw, "t.tsv")[1])


def test_plain_file_without_last_line_end():
    assert cells(b"a\tb\n1\t2\n3\t4") == (("a", "b"), [["1", "2"], ["3", "4"]], [2, 3], [])


def test_blank_lines_are_passed_over_and_lines_still_counted():
    assert cells(b"a\tb\n\n1\t2\n\t\n \n3\t4\n")[1:] == ([["1", "2"], ["3", "4"]], [3, 6], [])


def test_blanks_and_quotes_around_cells_go():
    assert cells(b'a\t"b"\n 1 \t" say ""ah"" "\n')[:2] == (("a", "b"), [["1", 'say "ah"']])


def test_latin1_is_read_and_said_with_its_line():
    header, rows, _, problems = cells("a\tb\n1\t2\nJürgen\tß\n".encode("latin-1"))
    assert (header, rows[1], problems) == (("a", "b"), ["Jürgen", "ß"], [(3, "used")])
    assert "Windows-1252" in words("a\nü\n".encode("latin-1"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(encoding):
    header, rows, lines, problems = cells("a\tb\nü\t2\n".encode(encoding))
    assert (header, rows, lines, problems) == (("a", "b"), [["ü", "2"]], [2], [(None, "used")])


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_carriage_returns(end):
    assert cells(b"a\tb" + end + b"1\t2" + end) == (("a", "b"), [["1", "2"]], [2], [(None, "used")])


def test_ragged_rows_are_set_aside_and_the_others_kept():
    _, rows, lines, problems = cells(b"a\tb\n1\n2\t3\n4\t5\t6\n")
    assert (rows, lines, problems) == ([["2", "3"]], [3], [(2, "set_aside"), (4, "set_aside")])
    assert "has 1 cells, the header 2" in words(b"a\tb\n1\n")


def test_zero_bytes_and_endless_lines_are_set_aside():
    assert cells(b"a\tb\n\x00\t2\n3\t4\n")[1:] == ([["3", "4"]], [3], [(2, "set_aside")])
    long = b"x" * (LONGEST_LINE_BYTES + 1)
    assert cells(b"a\tb\n1\t" + long + b"\n3\t4\n")[1:] == ([["3", "4"]], [3], [(2, "set_aside")])


@pytest.mark.parametrize("raw", [b"", b"\n\n", b" \n", b"\xef\xbb\xbf", b"\r\n"])
def test_empty_files_are_refused(raw):
    sheet, problems = parse_sheet(raw, "t.tsv")
    assert sheet is None
    assert problems[-1].action == "refused"
    assert "is empty" in problems[-1].problem


def test_header_only():
    assert cells(b"a\tb\n") == (("a", "b"), [], [], [(None, "used")])


@pytest.mark.parametrize(("raw", "word"), [(b"a,b\n1,2\n", "commas"), (b"a;b\n1;2\n", "semicolons")])
def test_other_separators_are_named(raw, word):
    assert parse_sheet(raw, "t.tsv")[0] is None
    assert f"separated by {word}, not by tabs" in words(raw)


def test_duplicate_and_empty_column_names():
    sheet, problems = parse_sheet(b"a\ta\t\tb\n1\t2\t3\t4\n", "t.tsv")
    assert sheet.header == ("a", "", "", "b")
    assert sheet.column("b").to_pylist() == ["4"]
    assert [(p.row, p.column, p.action) for p in problems] == [(1, "a", "refused"), (1, "", "refused")]


def test_with_column():
    sheet, _ = parse_sheet(b"a\tb\n1\t2\n3\t4\n", "t.tsv")
    wider = sheet.with_column("b", "ü")
    assert wider.header == ("b", "a", "")
    assert wider.column("b").to_pylist() == ["ü", "ü"]
    assert wider.column("a").to_pylist() == ["1", "3"]


def test_unreadable_things_are_refused(tmp_path):
    (tmp_path / "folder.tsv").mkdir()
    (tmp_path / "loop.tsv").symlink_to(tmp_path / "loop.tsv")
    os.mkfifo(tmp_path / "pipe.tsv")
    for name in ("folder.tsv", "loop.tsv", "pipe.tsv", "absent.tsv"):
        sheet, (problem,) = read_sheet(tmp_path / name, name)
        assert (sheet, problem.file, problem.action) == (None, name, "refused")


tables = st.lists(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters='\t\n\r\x00"'), max_size=6).map(str.strip),
        min_size=3,
        max_size=3,
    ),
    max_size=20,
)


@given(tables)
def test_agrees_with_the_csv_module(rows):
    rows = [row for row in rows if any(any(c > " " for c in cell) for cell in row)]
    text = "".join("\t".join(row) + "\n" for row in [["p", "q", "r"], *rows])
    expected = [
        [cell.strip() for cell in row]
        for row in csv.reader(text.split("\n")[1:-1], delimiter="\t", quoting=csv.QUOTE_NONE)
    ]
    assert cells(text.encode())[1] == expected


@given(st.binary(max_size=300))
def test_any_bytes_every_written_line_is_in_the_sheet_or_in_the_problems(raw):
    check_nothing_lost(raw)


@given(
    st.lists(
        st.sampled_from([b"a", b"\t", b"\n", b"\r", b'"', b"\x00", b"\xff", b",", b" ", "ü".encode(), b"n/a"]),
        max_size=60,
    )
)
def test_any_sequence_of_difficult_bytes(parts):
    check_nothing_lost(b"".join(parts))


def check_nothing_lost(raw):
    sheet, problems = parse_sheet(raw, "t.tsv")
    if sheet is None:
        assert any(p.action == "refused" for p in problems)
        return
    assert len(sheet.cells) == len(sheet) * len(sheet.header)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return
    unified = raw.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    written = [n for n, line in enumerate(unified.split(b"\n"), 1) if any(byte > 32 or byte == 0 for byte in line)]
    accounted = sheet.line.tolist() + [p.row for p in problems if p.action == "set_aside"]
    assert sorted(accounted) == written[1:]
