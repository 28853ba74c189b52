"""Our reader of MATLAB 5 files beside SciPy's, and on damaged bytes."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.io import loadmat, savemat

from remanent.study.derivatives.mat5 import DamagedError, read_mat5

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,40}", fullmatch=True)
NUMBERS = st.sampled_from(["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]).flatmap(
    lambda dtype: arrays.arrays(dtype, st.tuples(st.integers(1, 5), st.integers(1, 5)))
)
WORDS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


def saved(content: dict, *, compress: bool) -> bytes:
    stream = io.BytesIO()
    savemat(stream, content, long_field_names=True, do_compression=compress)
    return stream.getvalue()


def everything(_: str) -> bool:
    return True


@settings(deadline=None, max_examples=100)
@given(content=st.dictionaries(NAMES, NUMBERS, max_size=4), compress=st.booleans())
def test_numbers_equal_scipys(content, compress):
    data = saved(content, compress=compress)
    peer = {name: value for name, value in loadmat(io.BytesIO(data)).items() if not name.startswith("__")}
    ours = read_mat5(data, everything)
    assert set(ours) == set(peer)
    for name, value in ours.items():
        np.testing.assert_array_equal(value, peer[name])


@settings(deadline=None, max_examples=60)
@given(words=st.lists(WORDS, min_size=1, max_size=5), compress=st.booleans())
def test_text_in_rows_and_in_cells_equals_scipys(words, compress):
    data = saved({"rows": np.array(words), "cells": np.array(words, dtype=object)}, compress=compress)
    peer, ours = loadmat(io.BytesIO(data)), read_mat5(data, everything)
    assert ours["rows"] == peer["rows"].tolist()
    assert ours["cells"] == [[str(cell[0])] for cell in peer["cells"].ravel()]


def test_only_what_is_wanted_is_read():
    data = saved({"a": np.eye(2), "b": np.eye(3)}, compress=True)
    assert list(read_mat5(data, lambda name: name == "b")) == ["b"]


def test_other_classes_are_left_out():
    data = saved({"structure": {"x": 1.0}, "complex": np.array([1j]), "number": 1.0}, compress=False)
    assert list(read_mat5(data, everything)) == ["number"]


def test_big_endian_numbers():
    matrix = struct.pack(">II", 6, 8) + struct.pack(">II", 6, 0)
    matrix += struct.pack(">II", 5, 8) + struct.pack(">ii", 1, 2)
    matrix += struct.pack(">HH", 1, 1) + b"x\0\0\0"  # a small element
    matrix += struct.pack(">II", 9, 16) + struct.pack(">dd", 1.5, -2.0)
    data = b"MATLAB 5.0".ljust(124) + b"\x01\x00MI" + struct.pack(">II", 14, len(matrix)) + matrix
    np.testing.assert_array_equal(read_mat5(data, everything)["x"], [[1.5, -2.0]])
    np.testing.assert_array_equal(loadmat(io.BytesIO(data))["x"], [[1.5, -2.0]])


GOOD = saved(
    {"labels": np.array(["a ", "bc"]), "cells": np.array(["a", "b"], dtype=object), "x": np.eye(3)}, compress=False
)


@pytest.mark.parametrize("keep", range(0, len(GOOD), 7))
def test_a_cut_file_is_damaged_or_shorter(keep):
    try:
        found = read_mat5(GOOD[:keep], everything)
    except DamagedError:
        return
    assert set(found) < {"labels", "cells", "x"}


@settings(deadline=None, max_examples=500)
@given(data=st.data(), compress=st.booleans())
def test_damaged_bytes_are_damaged_or_numbers_and_nothing_else(data, compress):
    body = bytearray(GOOD[128:])
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    tail = bytes(body)
    if compress:
        packed = zlib.compress(tail)
        tail = struct.pack("<II", 15, len(packed)) + packed
    try:
        found = read_mat5(GOOD[:128] + tail, everything)
    except DamagedError:
        return
    assert all(isinstance(value, np.ndarray | list) for value in found.values())


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=400))
def test_random_bytes_behind_a_header_never_raise_anything_else(tail):
    try:
        read_mat5(GOOD[:128] + tail, everything)
    except DamagedError:
        return


def test_a_small_file_cannot_claim_a_huge_array():
    packed = zlib.compress(struct.pack("<II", 14, 2**31) + bytes(10**6))
    with pytest.raises(DamagedError, match="not one array"):
        read_mat5(GOOD[:128] + struct.pack("<II", 15, len(packed)) + packed, everything)
