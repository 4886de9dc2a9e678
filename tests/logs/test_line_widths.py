"""Lines with more or fewer fields than the first, against the csv module."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from logq.logs import line_widths as module
from logq.logs.line_widths import OddLine, OddLines, find_odd_lines

FIELD = st.sampled_from(["", "a", "1", '"x"', '"a,b"', '"two\nlines"', 'say ""', '"he said ""no"""', " "])
LINES = st.lists(st.lists(FIELD, min_size=1, max_size=4), max_size=8)


def by_csv(data, fields):
    longer, shorter = [], []
    reader = csv.reader(io.StringIO(data, newline=""))
    for row in reader:
        if any(field.strip() for field in row[fields:]):
            longer.append(OddLine(reader.line_num, len(row)))
        elif row and len(row) < fields:
            shorter.append(OddLine(reader.line_num, len(row)))
    return OddLines(len(longer), len(shorter), next(iter(longer), None), next(iter(shorter), None))


@given(LINES, st.integers(1, 3), st.integers(1, 40), st.booleans())
def test_as_the_csv_module_reads_them(lines, fields, size, ends):
    data = "\n".join(",".join(line) for line in lines) + "\n" * ends
    pieces = [data[at : at + size].encode() for at in range(0, len(data), size)]
    assert find_odd_lines(pieces, ",", fields) == by_csv(data, fields)


def test_even_lines_are_only_glanced_at(monkeypatch):
    monkeypatch.setattr(module, "_rows", None)
    assert find_odd_lines([b'1,"a\nb"\n2,c\n' * 1000, b"3,d"], ",", 2) == OddLines()


def test_quotation_marks_left_open_end_the_search():
    assert find_odd_lines([b'1,2\n3,"4\n', b"5,6,7\n8\n"] * 3, ",", 2) == by_csv('1,2\n3,"4\n5,6,7\n8\n' * 2, 2)


def test_tabs_know_no_quotation_marks():
    assert find_odd_lines([b'1\t"a\tb"\n2\tc\n'], "\t", 2).first_longer == OddLine(1, 3)


def test_a_line_without_an_end_ends_the_search(monkeypatch):
    monkeypatch.setattr(module, "_LONGEST", 8)
    assert find_odd_lines([b"1,2\n", b"3,4,5,6,7,8", b"\n9\n"], ",", 2) == OddLines()
