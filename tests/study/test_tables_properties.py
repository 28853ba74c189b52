"""Whatever stands in a study: no exception but InputError, and every written row is in a table or in the problems."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from remanent._errors import InputError
from remanent.study.check import render, summarise
from remanent.study.columns import absent
from remanent.study.schema import INPUT
from remanent.study.tables import PHENOTYPE, Study, read_tables

FILES = [*PHENOTYPE, "hdrs17", "madrs", "panas"]
HEADERS = {
    "hdrs17": ["participant_id", "day", "session_id", "total", "item_1"],
    "madrs": ["participant_id", "session_id", "total"],
    "panas": ["participant_id", "day", "total"],
} | {name: [column.name for column in INPUT[name].columns] for name in PHENOTYPE}
WORDS = """sub-01 01 sub-02 sub-9 ../x n/a N/A NaN inf -1 0 1.5 90 1e400 1e-320 44321 2021-03-04 3,5 <0.3 =1+1 <script>
    sertraline lithium RUL rul XX relapse crp mg/L µg/L tst_h ses-1 1 ses-2 mood Ä \ud7ff \U0001f600 " "a" ' \\ ٣ ½"""
CELLS = st.sampled_from([*WORDS.split(), "", "-5 mg", "=cmd|' /C calc'!A0", "\u2028", "\u0085", "\x0b"])
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def table_files(draw):
    """A few tables with mostly right headers and mostly wrong cells."""
    files = {}
    for name in draw(st.lists(st.sampled_from(FILES), unique=True, max_size=4)):
        header = draw(
            st.one_of(
                st.just(HEADERS[name]),
                st.permutations(HEADERS[name]),
                st.lists(st.sampled_from(HEADERS[name] + ["", "name", "x"]), min_size=1),
            )
        )
        rows = draw(
            st.lists(
                st.lists(CELLS, min_size=len(header), max_size=len(header) + draw(st.sampled_from([0, 0, 0, 1]))),
                max_size=12,
            )
        )
        end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
        files[f"phenotype/{name}.tsv"] = end.join("\t".join(row) for row in [header, *rows]).encode()
    return files


def write(root, files):
    for name in (*(f"phenotype/{n}.tsv" for n in FILES), "sub-01/sub-01_sessions.tsv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).unlink(missing_ok=True)
    for name, content in files.items():
        (root / name).write_bytes(content)
    return root


def written_lines(content: bytes) -> list[int]:
    text = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return [n for n, line in enumerate(text.split(b"\n"), 1) if any(byte > 32 or byte == 0 for byte in line)]


def check(root, files):
    write(root, files)
    tables, problems = read_tables(root, known_drugs={"sertraline", "lithium"}.__contains__)
    for name, content in files.items():
        kept = [int(row) for table in tables.values() for row in table.row[table.file == name]]
        assert len(kept) == len(set(kept)), "a row was taken twice"
        out = {p.row for p in problems if p.file == name and p.action != "used"}
        whole = [p for p in problems if p.file == name and (p.row is None or "none of the" in p.problem)]
        whole = not kept and any(p.action != "used" for p in whole)
        lines = written_lines(content)[1:]
        if content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            assert set(kept) <= set(lines)
            assert whole or set(lines) <= set(kept) | out, "a row was lost"
    for table in tables.values():
        for column in table.spec.columns:
            values = table[column.name]
            assert values.dtype == (float if column.kind == "number" else object)
            if values.dtype == float:
                assert np.isfinite(values[~np.isnan(values)]).all() or column.name in ("start_day", "stop_day")
            if column.required:
                assert not absent(values).any()
    render(summarise(Study(root, {}, tables, (), problems)))


@pytest.fixture
def root(make_study) -> Path:
    return make_study({})


@SETTINGS
@given(files=table_files())
@example(files={"phenotype/ema.tsv": b"participant_id\tday\titem\tvalue\nsub-01\t-0\tmood\t1\nsub-01\t0\tmood\t2"})
def test_any_table(root, files):
    check(root, files)


@SETTINGS
@given(content=st.binary(max_size=400), name=st.sampled_from(FILES))
def test_any_bytes(root, content, name):
    check(root, {f"phenotype/{name}.tsv": content})


@SETTINGS
@given(seed=st.randoms(use_true_random=False), name=st.sampled_from(FILES))
def test_damaged_files(root, seed, name):
    """A right table with bytes flipped, cut out and doubled."""
    line = "\t".join(
        {"participant_id": "sub-01", "day": "3", "total": "9", "dose_mg_day": "50", "unit": "mg/L", "value": "5"}.get(
            c, "a"
        )
        for c in HEADERS[name]
    )
    content = bytearray("\n".join(["\t".join(HEADERS[name]), *[line] * 4]).encode())
    for _ in range(seed.randint(1, 8)):
        at = seed.randrange(len(content))
        match seed.randrange(3):
            case 0:
                content[at] = seed.choice(b"\x00\t\n\r\xff\"'a0-,;")
            case 1:
                del content[at : at + seed.randint(1, 10)]
            case 2:
                content[at:at] = content[: seed.randint(1, 40)]
        content = content or bytearray(b"a")
    check(root, {f"phenotype/{name}.tsv": bytes(content)})


@SETTINGS
@given(content=st.one_of(st.binary(max_size=200), table_files().map(lambda files: next(iter(files.values()), b""))))
@example(content=b"session_id\tday\tacq_time\nses-1\t\t1924-01-01\nses-2\t3\tx\n\t\t\t")
def test_any_sessions(root, content):
    check(root, {"sub-01/sub-01_sessions.tsv": content})


@SETTINGS
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.lists(CELLS, max_size=9).map(lambda rows: "\n".join(["participant_id", *rows]).encode()),
    )
)
def test_any_participants(root, content):
    write(root, {})
    (root / "participants.tsv").write_bytes(content)
    for folder in root.glob("sub-*"):
        folder.rmdir()
    try:
        tables, problems = read_tables(root)
    except InputError:
        return
    kept = tables["participants"].row.tolist()
    assert kept
    assert set(written_lines(content)[1:]) <= set(kept) | {p.row for p in problems if p.action != "used"} or content[
        :2
    ] in (b"\xff\xfe", b"\xfe\xff")
