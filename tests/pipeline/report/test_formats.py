import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import formats
from pipeline.report.formats import MISSING


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (formats.points, 58.249, "58.2"),
        (formats.points, -0.04, "0.0"),
        (formats.signed_points, 1.94, "+1.9"),
        (formats.signed_points, -0.44, "−0.4"),
        (formats.signed_points, -0.04, "0.0"),
        (formats.signed_points, 0.04, "0.0"),
        (formats.hundredths, 0.004, "0.00"),
        (formats.hundredths, -0.126, "−0.13"),
        (formats.milliseconds, 4.321, "4.32"),
        (formats.milliseconds, 21.44, "21.4"),
        (formats.milliseconds, 1234.4, "1,234"),
        (formats.rate, 21.94, "21.9"),
        (formats.rate, 263.7, "264"),
        (formats.megabytes, 6_130_000, "6.13"),
        (formats.megabytes, 13_810_000, "13.8"),
        (formats.megabytes, 311_400_000, "311"),
        (formats.gigabytes, 8_053_063_680, "8.1 GB"),
        (formats.millions, 1_484_000, "1.48"),
        (formats.giga, 1_314_000_000, "1.31"),
        (formats.times, 1.487, "1.49×"),
        (formats.times, 4.168, "4.2×"),
        (formats.times, 37.6, "38×"),
        (formats.percent, 0.834, "83\u00a0%"),
        (formats.exact_percent, 0.99871, "99.87\u00a0%"),
        (formats.small, 0.0042149, "0.00421"),
        (formats.small, 3.1e-6, "3.1e-06"),
        (formats.count, 1797, "1,797"),
        (formats.duration, 42.4, "42 s"),
        (formats.duration, 59.6, "1 min 0 s"),
        (formats.duration, 402.7, "6 min 43 s"),
        (formats.duration, 7530, "2 h 5 min"),
    ],
)
def test_quantities(write, value, expected):
    assert write(value) == expected


@pytest.mark.parametrize(
    "write",
    [
        formats.points,
        formats.signed_points,
        formats.hundredths,
        formats.milliseconds,
        formats.rate,
        formats.megabytes,
        formats.gigabytes,
        formats.millions,
        formats.giga,
        formats.times,
        formats.percent,
        formats.exact_percent,
        formats.small,
        formats.count,
        formats.duration,
    ],
)
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_number_that_does_not_exist_is_a_dash(write, value):
    assert write(value) == MISSING


def test_interval_keeps_its_signs_and_stays_on_one_line():
    assert formats.span(57.12, 59.38) == "57.1\u00a0to\u00a059.4"
    assert formats.span(-0.81, 1.6, formats.signed_points) == "−0.8\u00a0to\u00a0+1.6"
    assert formats.span(None, 1.0) == MISSING


def test_percentiles_side_by_side():
    assert formats.percentiles(6.2, 6.944, 12.0) == "6.20\u00a0/\u00a06.94\u00a0/\u00a012.0"


def test_short_hash():
    assert formats.short_hash("0123456789abcdef") == "0123456789ab"
    assert formats.short_hash("") == MISSING


@given(st.floats(-100, 100))
def test_signed_points_read_back_to_a_tenth_and_never_show_minus_zero(value):
    text = formats.signed_points(value).replace("−", "-")
    assert abs(float(text) - value) <= 0.05 + 1e-9
    assert text not in {"-0.0", "+0.0"}
    assert text.startswith("+") == (float(text) > 0)
