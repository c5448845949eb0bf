import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.chart_style import DARK, LIGHT, Look, page_colors, to_svg
from pipeline.report.charts import training_chart
from pipeline.report.inline_svg import inline_svg, short_path

SVG = """<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" height="9pt" viewBox="0 0 9.125 9"
 xmlns="http://www.w3.org/2000/svg" version="1.1">
 <metadata>not for readers</metadata>
 <defs><style type="text/css">*{stroke-linejoin: round}</style></defs>
 <g id="figure_1">
  <path d="M 0 0 L 9 9 " style="fill: none"/>
  <g id="line_1"><defs><path id="m1" d="M 0 0 L 1 0 "/></defs>
   <use xlink:href="#m1" x="1.23456" y="2" style="fill: #AABBCC; stroke: #112233"/></g>
  <g id="empty"/>
  <g id="text_1"><!-- said twice --><text style="font-size: 8px; font-family: 'A', sans-serif; stroke-dasharray: ;
 stroke-dashoffset: 0" x="1" y="2" transform="rotate(-0 1 2)">a &lt;b&gt; &amp; c</text></g>
  <g clip-path="url(#p1)"><path d="M 1 1 L 2 2 " style="stroke: #112233"/></g>
 </g>
 <defs><clipPath id="p1"><rect x="0" y="0" width="9" height="9"/></clipPath></defs>
</svg>"""


def test_what_is_left_of_a_chart():
    assert inline_svg(SVG, "c", {"#112233": "var(--ink)"}) == (
        '<svg viewBox="0 0 9.12 9">'
        '<defs><path id="c0" d="M0 0l1 0" /></defs>'
        '<use href="#c0" x="1.23" y="2" style="fill:#AABBCC;stroke:var(--ink)" />'
        '<text style="font-size:8px" x="1" y="2">a &lt;b&gt; &amp; c</text>'
        '<g clip-path="url(#c1)"><path d="M1 1l1 1" style="stroke:var(--ink)" /></g>'
        '<defs><clipPath id="c1"><rect x="0" y="0" width="9" height="9" /></clipPath></defs>'
        "</svg>"
    )


def test_a_character_that_no_xml_holds_is_replaced():
    assert ">a\ufffdc<" in inline_svg("<svg><text>a\x1bc</text></svg>", "c", {})


def test_a_chart_keeps_its_words_and_has_no_colour_of_its_own(results):
    look = Look(LIGHT)
    file = to_svg(training_chart(results, look), look)
    chart = inline_svg(file, "c", page_colors())
    words = [element.text for element in ElementTree.fromstring(chart).iter("text")]
    assert words == [element.text for element in ElementTree.fromstring(file).iter("{http://www.w3.org/2000/svg}text")]
    assert {"val split", "loss_cls_kd", "crosskd", "iteration"} <= set(words)
    assert not re.search(r"#[0-9a-f]{6}", chart)
    assert len(chart) < 0.55 * len(file)


def test_colours_of_the_page_are_told_apart_by_the_light_ones():
    assert len(page_colors()) == len(LIGHT.variables) == len(DARK.variables)
    assert LIGHT.variables.keys() == DARK.variables.keys()


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("M 0 0 \nL 3 0 \nL 3 -0.5 \n", "M0 0l3 0 0-.5"),
        ("M 1 1 L 2 2 z M 5 5 L 6 6 ", "M1 1l1 1zM5 5l1 1"),
        ("M 0 1 Q 1 1 2 2 L 3 2 C 3 3 4 4 5 5 z", "M0 1q1 0 2 1l1 0c0 1 1 2 2 3z"),
        ("M 0.004 -0.004 L 1e-7 1000.125", "M0 0l0 1000.12"),
        ("M -1.5 -2.25 L -1.5 -2.25 L -0.75 -2.25 ", "M-1.5-2.25l0 0 .75 0"),
    ],
)
def test_short_paths(path, short):
    assert short_path(path) == short


@given(st.lists(st.tuples(*[st.floats(-900, 900)] * 2), min_size=1, max_size=400))
def test_no_point_of_a_path_moves_by_more_than_rounding(points):
    path = " ".join(f"{'L' if place else 'M'} {x:.6f} {y:.6f}" for place, (x, y) in enumerate(points))
    numbers = [float(number) for number in re.findall(r"-?\d*\.?\d+", short_path(path))]
    found = np.cumsum(np.array(numbers).reshape(-1, 2), axis=0)
    assert np.abs(found - np.array(points)).max() <= 0.005 + 1e-5
