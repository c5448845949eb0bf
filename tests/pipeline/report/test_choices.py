"""Where val is measured, for want of a test split: every choice says so, and no picture is called a test."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.text import Text

from pipeline.records import MadeSplits
from pipeline.report.chart_style import LIGHT, Look
from pipeline.report.charts import precision_recall_chart, trade_off_chart, training_chart
from pipeline.report.choices import measured_sentence, precision_note, split_note, weights_note
from pipeline.report.collect import Results, collect
from pipeline.report.gallery import gallery
from pipeline.report.headline import headline
from pipeline.report.latency_tables import batch_chart
from pipeline.report.methodology import definitions
from pipeline.report.operating_points import operating_note
from pipeline.report.render import ChartImages, render_html, render_markdown, report_context
from tests.pipeline.report.example_run import example_params, write_run

VERY = " (the very pictures that the numbers here are of)"
NONE = "There is no test split: "
CHARTS = {"trade_off": trade_off_chart, "batch": batch_chart, "precision_recall": precision_recall_chart}
CHARTS |= {"training": training_chart}


@pytest.fixture(scope="module")
def without_test(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path]:
    """The example as it is without a test split, and where it lies."""
    # Its own name, as pictures are not to be found by a folder that is called a test.
    root = tmp_path_factory.mktemp("val_alone")
    write_run(root, example_params(), images=6, split="val")
    return collect(example_params(), root), root


def test_every_choice_says_that_its_pictures_are_measured(without_test: tuple[Results, Path]) -> None:
    results, _ = without_test
    chose = (
        "the weights, the score thresholds, the layers that int8 leaves in fp32 and what ships, so the numbers flatter."
    )
    sentence = f"{NONE}the pictures that these numbers are of also chose {chose}"
    assert measured_sentence(results) == sentence
    assert sentence in headline(results)
    assert weights_note(results) == f"chosen on the val split{VERY}"
    assert f"checkpoints are chosen on the val split{VERY}." in definitions(results)["AP"]
    assert precision_note(results) == (
        "int8 is calibrated on images of the train split; layers stay in fp32 only where all of them in int8 cost too "
        f"much AP on images of the val split, which choose them{VERY}."
    )
    assert "The numbers are of the pictures that chose it, so they flatter." in operating_note(results)
    assert split_note(results) == f"{NONE}val chose, and val is measured."


def test_a_test_split_chose_nothing_and_nothing_flatters(results: Results) -> None:
    notes = (measured_sentence(results), weights_note(results), precision_note(results), operating_note(results))
    assert not [note for note in notes if "flatter" in note or VERY in note]
    assert (notes[0], notes[1], split_note(results)) == ("", "chosen on the val split", "")


def test_without_artefacts_no_layer_was_chosen(without_test: tuple[Results, Path]) -> None:
    results, _ = without_test
    bare = replace(results, models=tuple(replace(model, precision=None) for model in results.models))
    assert precision_note(bare) == ""
    assert "also chose the weights, the score thresholds and what ships, so" in measured_sentence(bare)


def test_the_precisions_are_told_by_the_split_of_their_records(results: Results) -> None:
    def searched(model):
        items = [
            item.model_copy(update={"search": item.search and item.search.model_copy(update={"split": "train"})})
            for item in model.precision.artefacts
        ]
        return replace(model, precision=model.precision.model_copy(update={"artefacts": items}))

    other = replace(results, models=tuple(searched(model) for model in results.models))
    assert "images of the train split, which choose them." in precision_note(other)
    titles = [column.title for column in report_context(other, ())["tables"]["precisions"].columns]
    assert [title for title in titles if "lost" in title] == ["AP lost on train, all int8", "AP lost on train"]


def test_no_picture_is_called_a_test_where_there_is_none(without_test: tuple[Results, Path]) -> None:
    results, root = without_test
    context = report_context(results, gallery(results, root))
    drawn = [draw(results, Look(LIGHT)) for draw in CHARTS.values()]
    written = [text.get_text() for figure in drawn for text in figure.findobj(Text)]
    images = dict.fromkeys(CHARTS, ChartImages("<svg></svg>", "<svg></svg>"))
    # Pictures in base64 may hold any letters.
    page = re.sub(r"data:image/[^\"]+", "", render_html(context, images))
    for text in (render_markdown(context), page, "\n".join(written)):
        assert "val split" in text
        assert [*re.finditer(r"(?i)\btests?\b|(?i:_test|test_)", text.replace(NONE, ""))] == []
    assert page.count(NONE) == render_markdown(context).count(NONE) == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"own_val_is_test": True, "test": None},
            "own val is the test split and chose nothing: what val is here is 15 % of train, taken by seed 3, 90 ",
        ),
        (
            {"near_duplicates": "apart"},
            "val and test are 15 % and 10 % of its images, taken by seed 3, 90 groups of images kept whole.",
        ),
        ({"test": None}, "The data set has no val split: val is 15 % of train, taken by seed 3, 90 groups"),
        ({"test": 0}, f"images that look alike among them. {NONE}val chose, and val is measured."),
    ],
)
def test_made_splits_are_told_with_their_seed(results: Results, changes: dict[str, object], says: str) -> None:
    made = {
        "seed": 3, "val": 0.15, "test": 0.1, "group_by": None, "near_duplicates": "together", "groups": 90,
        "largest_group": 4,
    }  # fmt: skip
    dataset = results.dataset.model_copy(update={"made_splits": MadeSplits.model_validate(made | changes)})
    assert says in split_note(replace(results, dataset=dataset)).replace("\u00a0", " ")
