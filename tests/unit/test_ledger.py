"""What the ledger of the fault suite says: gaps, losses, and two primaries at once."""

from tests.faults.ledger import Row, count_writers_at_once, longest_gap, make_report, parse_ledger


def row(seq: int, at: float, address: str = "a", timeline: int = 1) -> Row:
    return Row(seq, at - 0.01, at, address, timeline)


def test_a_line_that_was_cut_off_is_left_out() -> None:
    assert parse_ledger("1 1.0 2.0 10.0.0.1 3\n2 2.0 3.0 10.0") == [Row(1, 1.0, 2.0, "10.0.0.1", 3)]


def test_the_gap_is_the_longest_that_ends_after_the_fault() -> None:
    rows = [row(1, 0), row(2, 50), row(3, 51), row(4, 55), row(5, 56)]
    assert longest_gap(rows, since=50.5) == 4
    assert longest_gap(rows, since=0) == 50
    # Nothing was acknowledged any more: that is no short gap.
    assert longest_gap(rows, since=60) == float("inf")


def test_rows_that_are_gone_are_lost_and_unknown_ones_in_doubt() -> None:
    ledgers = {"held": [row(1, 1), row(2, 2), row(4, 3)], "new": [row(1, 1.5)], "direct": []}
    report = make_report("case", ledgers, {"held": {1, 2, 3}, "new": {1}}, since=0)
    assert (report.lost, report.in_doubt, report.acknowledged) == (1, 1, 4)


def test_a_primary_after_the_other_is_one_at_once() -> None:
    rows = [row(1, 1), row(2, 2), row(3, 3, "b", 2), row(4, 4, "b", 2), row(5, 5, "a", 3)]
    assert count_writers_at_once(rows) == 1


def test_two_that_take_turns_are_two_at_once() -> None:
    rows = [row(1, 1), row(2, 2, "b", 2), row(3, 3), row(4, 4, "b", 2)]
    assert count_writers_at_once(rows) == 2


def test_one_that_wrote_once_while_another_went_on_is_two_at_once() -> None:
    rows = [row(1, 1), row(2, 2, "b", 2), row(3, 3)]
    assert count_writers_at_once(rows) == 2


def test_no_rows_are_no_writers() -> None:
    assert count_writers_at_once([]) == 0
