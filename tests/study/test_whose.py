"""Whose row a problem is about."""

import pytest

from remanent._errors import Problem
from remanent.study.whose import with_participants

PEOPLE = {"sub-01", "sub-02", "sub-7"}


@pytest.mark.parametrize(
    ("row", "who"),
    [(2, "sub-02"), (3, "sub-01"), (4, "sub-01"), (5, ""), (6, "sub-02"), (9, ""), (1, ""), (None, "")],
)
def test_of_each_line(tmp_path, row, who):
    text = 'day\tParticipant_ID\ttotal\n7\tsub-02\t3\n7\t01\t3\n7\t"sub-01"\t3\n7\tsub-99\t3\nsub-02\t9\n'
    (tmp_path / "a.tsv").write_text(text)
    (found,) = with_participants([Problem("a.tsv", row, "day", "Wrong.", "set_aside")], tmp_path, PEOPLE)
    assert found.participant_id == who


def test_a_known_owner_stays_and_a_file_that_is_gone_has_none(tmp_path):
    known = Problem("a.tsv", 2, "", "Wrong.", "used", "sub-7")
    assert with_participants([known, Problem("b.tsv", 2, "", "Wrong.", "used")], tmp_path, PEOPLE) == (
        known,
        Problem("b.tsv", 2, "", "Wrong.", "used"),
    )
