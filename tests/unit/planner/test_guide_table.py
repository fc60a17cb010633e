"""The guide's two tables come out of its own inputs, to the cent."""

from __future__ import annotations

from decimal import Decimal

from darkroom.planner.guide import STATED_TOTAL, fixed_lines, picture_lines, total_of

# Service, quantity, price and amount, as the guide prints them.
PICTURES = [
    ("Amazon EC2", "416.67", "0.4968", "207.00"),
    ("Amazon API Gateway", "1", "3.50", "3.50"),
    ("AWS Lambda", "12500", "0.0000166667", "0.21"),
    ("AWS Lambda", "1", "0.20", "0.20"),
    ("Amazon SNS", "2", "0.50", "0.50"),
    ("Amazon SNS", "7.62", "0.09", "0.68"),
    ("Amazon SQS", "2", "0.40", "0.80"),
    ("Amazon S3", "2000", "0.005", "10.00"),
    ("Amazon S3", "143.05", "0.023", "3.29"),
]
FIXED = [("Amazon EKS", "1", "72.00", "72.00"), ("Amazon EC2", "1440", "0.0960", "138.24")]


def test_every_line_is_the_guides_to_the_cent() -> None:
    for printed, lines in ((PICTURES, picture_lines()), (FIXED, fixed_lines())):
        assert [(line.service, line.quantity, line.unit_usd, line.usd) for line in lines] == [
            (service, Decimal(quantity), Decimal(price), Decimal(amount))
            for service, quantity, price, amount in printed
        ]


def test_the_true_sum_is_not_the_stated_one() -> None:
    assert total_of(picture_lines()) == Decimal("226.18")
    assert total_of(fixed_lines()) == Decimal("210.24")
    assert total_of([*picture_lines(), *fixed_lines()]) == Decimal("436.42") != STATED_TOTAL


def test_lines_that_their_inputs_do_not_give_are_marked_and_no_other() -> None:
    lines = [*picture_lines(), *fixed_lines()]
    odd = {line.dimension: line.by_its_inputs for line in lines if line.usd != line.by_its_inputs}
    assert odd == {"Per 1M requests": Decimal("1.00"), "Data transfer per GB": Decimal("0.69")}
    assert all(bool(line.remark) == (line.usd != line.by_its_inputs) for line in lines)


def test_other_inputs_give_other_lines() -> None:
    assert picture_lines(seconds=3)[0].usd == Decimal("414.00")
    assert picture_lines(picture_kb=300)[-1].usd == Decimal("6.58")
