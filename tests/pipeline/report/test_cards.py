"""Model cards: what they say of a student, and that no name in them is read as markup."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pipeline.deploy_records import CardRecord
from pipeline.errors import PipelineError
from pipeline.label_records import LabelRecord
from pipeline.report.card_metadata import metadata
from pipeline.report.card_page import render_card, snippet, write_cards
from pipeline.report.card_text import limits, made_table, rung_table
from pipeline.report.cards import Card, cards
from pipeline.report.collect import Results
from pipeline.training_records import InitRecord, UsedLabels
from tests.pipeline.report.test_shipping import with_rungs
from tests.pipeline.report.variants import chosen_anew

NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40).filter(str.strip)


def card_of(results: Results, model: str = "crosskd") -> Card:
    return next(card for card in cards(results, "0" * 40) if card.model.name == model)


def with_stated(results: Results, **stated: str) -> Results:
    report = results.params.report
    card = report.card.model_copy(update=stated)
    return replace(
        results, params=results.params.model_copy(update={"report": report.model_copy(update={"card": card})})
    )


def with_model(results: Results, **changes: object) -> Results:
    models = tuple(replace(model, **changes) if model.name == "crosskd" else model for model in results.models)
    return replace(results, models=models)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_hubs_own_reader_finds_the_metadata_and_the_numbers_of_the_file_that_ships(results: Results) -> None:
    results = with_rungs(results, "crosskd", {"fp32@onnxruntime": (60.123, 9.0), "int8@openvino": (59.4, 3.0)})
    results = with_stated(results, licence="apache-2.0", dataset="owner/data")
    data = ModelCard(render_card(card_of(results)), ignore_metadata_errors=False).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "onnx", "object-detection")
    assert data.tags == ["object-detection", "onnx", "knowledge-distillation", "crosskd"]
    assert (data.datasets, data.model_name) == (["owner/data"], "crosskd")
    found = {(item.metric_type, item.metric_name): item for item in data.eval_results}
    assert [name for _, name in found][:4:3] == [
        "mAP of crosskd.int8.onnx, OpenVINO int8 (0 to 100)",
        "mAP of crosskd.onnx, ONNX Runtime fp32 (0 to 100)",
    ]
    assert [item.metric_type for item in data.eval_results] == ["mAP", "mAP50", "mAP75", "mAP"]
    assert [item.metric_value for item in data.eval_results][::3] == [59.4, 60.12]
    assert {(item.task_type, item.dataset_type, item.dataset_split) for item in data.eval_results} == {
        ("object-detection", "owner/data", "test")
    }


def test_what_is_not_known_is_not_in_the_metadata(results: Results) -> None:
    found = metadata(card_of(results))
    assert not {"license", "datasets"} & found.keys()
    bare = metadata(card_of(chosen_anew(with_model(results, benchmark=None))))
    assert bare["model-index"] == [{"name": "crosskd", "results": []}]


def test_the_page_has_the_numbers_of_one_file_and_its_gain(results: Results) -> None:
    results = with_rungs(results, "crosskd", {"fp32@onnxruntime": (60.1, 9.0), "int8@openvino": (59.4, 3.0)})
    page, card = plain(render_card(card_of(results))), card_of(results)
    interval = card.ship.beside.rung.run.accuracy.bootstrap.interval
    assert (
        f"**Use crosskd.int8.onnx with score threshold {card.model.point.score:.2f}: 59.4 AP (95 % interval "
        f"{interval.low:.1f} to {interval.high:.1f}) on the test split, 3.00 ms at the median, batch 1 (OpenVINO int8, "
        "Example CPU @ 2.40GHz, 2 cores).**"
    ) in page
    assert re.search(r"crosskd against twin: \+12\.3 AP points \(95 % interval \+\d+\.\d to \+\d+\.\d\)\.", page)
    for file in card.files:
        assert f"{file.file_size:,} | {file.sha256} |" in page
    assert [row.cells[:3] for row in rung_table(card).rows] == [
        ("crosskd.onnx", "ONNX Runtime fp32", "60.1"),
        ("crosskd.int8.onnx", "OpenVINO int8", "59.4"),
    ]
    assert "\n\n\n\n" not in page


def test_a_twin_is_said_to_be_one(results: Results) -> None:
    page, card = render_card(card_of(results, "twin")), card_of(results, "twin")
    assert "trained without a teacher" in page
    assert "knowledge-distillation" not in metadata(card)["tags"]


def test_pictures_without_boxes_are_told(results: Results) -> None:
    labels = LabelRecord(by="yolo.onnx", images=1080)
    record = results.students[0].training
    assert record is not None
    used = record.model_copy(update={"pseudo_labels": UsedLabels(ratio=1.0, labels=labels)})
    page = plain(render_card(card_of(with_model(results, training=used))))
    assert "It learned from 1,080 pictures without boxes too, labelled by yolo.onnx." in page
    assert "pictures without boxes" not in plain(render_card(card_of(results)))


def test_licences_of_data_and_weights_are_stated_or_said_not_to_be(results: Results) -> None:
    page = render_card(card_of(results))
    assert "- This model: not stated (report.card.licence in params.yaml)." in page
    assert "- Digits: E. Alpaydin, C. Kaynak, UCI, CC BY 4.0\n" in page
    assert "- Data: as the credits above state it." in page
    sources = "https://download.example/mobilenet.pth, pypi:mirror==1.0/mobilenet.pth"
    assert f"- Weights that the backbone started from ({sources}): BSD-3-Clause." in page
    own = replace(results, dataset=results.dataset.model_copy(update={"credits": []}))
    assert "- Data: not stated (report.card.data_licence in params.yaml)." in render_card(card_of(own))
    assert "- Data: CC0.\n" in render_card(card_of(with_stated(own, data_licence="CC0")))


def test_what_a_training_started_from_is_named_without_secrets_and_local_paths(results: Results) -> None:
    init = InitRecord(
        sha256="ab" * 32, tensors=2, transferred=2, refitted=[], new=[], left=[], classes=[], new_classes=[]
    )
    model = card_of(results).model
    origin = model.origin.model_copy(
        update={
            "backbone_sources": [],
            "init_sources": ["https://me:pass@host.example/a.pth?token=hidden", "/home/me/secret/a.pth"],
        }
    )
    training = model.training.model_copy(update={"init": init})
    page = render_card(card_of(with_model(results, origin=origin, training=training)))
    assert "(https://host.example/a.pth, a local file, SHA-256 abababababab): not stated (licence under init" in page
    assert not re.search("hidden|pass@|secret|/home", page)
    scratch = with_model(results, origin=origin)
    assert "The training started from no one's weights." in render_card(card_of(scratch))


def test_a_recipe_elsewhere_on_the_machine_is_named_without_its_folders(results: Results) -> None:
    evaluation = card_of(results).model.evaluation.model_copy(update={"recipe": "/home/me/mine.py"})
    rows = [row.cells for row in made_table(card_of(with_model(results, evaluation=evaluation))).rows]
    assert rows[0] == ("Recipe", "mine.py")
    assert rows[-1] == ("Code", "0" * 40)


def test_a_card_says_where_its_pictures_also_chose_the_weights(results: Results) -> None:
    assert not any("flatter" in line for line in limits(card_of(results)))
    splits = dict.fromkeys(("train", "val", "test"), results.dataset.splits["val"])
    on_val = replace(results, dataset=results.dataset.model_copy(update={"splits": splits}))
    assert "the numbers flatter" in limits(card_of(on_val))[0]


def test_a_card_and_its_record_are_of_the_same_files(results: Results, tmp_path: Path) -> None:
    write_cards(results, tmp_path, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "crosskd.json", "crosskd.md", "twin.json", "twin.md"
    ]  # fmt: skip
    record = CardRecord.read(tmp_path / "crosskd.json")
    content = (tmp_path / "crosskd.md").read_bytes()
    assert record.card_sha256 == hashlib.sha256(content).hexdigest()
    assert (record.model, record.ship) == ("crosskd", "fp32")
    assert [file.precision for file in record.files] == ["fp32", "fp16", "int8"]
    assert all(file.sha256 in content.decode() for file in record.files)


def test_a_measured_file_that_nobody_made_is_an_error(results: Results) -> None:
    odd = with_rungs(results, "crosskd", {"int8_symmetric@openvino": (60.0, 1.0)})
    with pytest.raises(PipelineError, match=r"reports/benchmark/crosskd.json: measured an artefact in int8_symmetric"):
        cards(odd, None)


@pytest.fixture(scope="module")
def shown(results: Results) -> int:
    return len(MarkdownIt("commonmark").enable("table").parse(render_card(card_of(results)).split("\n---\n", 1)[1]))


@settings(max_examples=25)
@example(names=("+ a", "`|*", "<b>"), title="1) --- a", licence="![a](b)")
@given(names=st.tuples(NAMES, NAMES, NAMES), title=NAMES, licence=NAMES)
def test_no_name_is_read_as_markdown_html_or_yaml(
    results: Results, shown: int, names: tuple[str, str, str], title: str, licence: str
) -> None:
    """A CommonMark parser finds the blocks of the plain card, and in their place the names, letter by letter."""
    card = card_of(with_stated(_renamed(results, names, title), data_licence=licence))
    text = render_card(card)
    head, page = text.removeprefix("---\n").split("\n---\n", 1)
    read = yaml.safe_load(head)
    assert read == metadata(card)
    assert read["model-index"][0]["results"][0]["dataset"]["name"].startswith(title)
    blocks = MarkdownIt("commonmark").enable("table").parse(page)
    assert len(blocks) == shown
    assert not [block for block in blocks if block.type.startswith("html")]
    lines = [block for block in blocks if block.type == "inline"]
    assert {child.type for block in lines for child in block.children} <= {
        *("text", "code_inline", "softbreak", "strong_open", "strong_close")
    }
    words = ["".join(child.content for child in block.children) for block in lines]
    for name in (*names, f"crosskd: {title} (composed)", f"Data: {licence}."):
        assert " ".join(name.split()) in words


def _renamed(results: Results, names: tuple[str, ...], title: str) -> Results:
    """The same numbers, the first classes and the data set called otherwise."""
    dataset = results.dataset.model_copy(update={"title": f"{title} (composed)"})

    def accuracy(record):
        classes = [
            item.model_copy(update={"name": name}) for item, name in zip(record.classes, names, strict=False)
        ] + record.classes[len(names) :]
        return record.model_copy(update={"classes": classes})

    model = card_of(results).model
    runs = [run.model_copy(update={"accuracy": accuracy(run.accuracy)}) if run.accuracy else run for run in model.runs]
    return with_model(replace(results, dataset=dataset), benchmark=model.benchmark.model_copy(update={"runs": runs}))


@pytest.mark.parametrize("size", [(90, 150), (150, 90), (256, 256)])
def test_the_resizing_of_the_snippet_is_opencvs(size: tuple[int, int], results: Results) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (120, 100, 3), dtype=np.uint8)
    text = snippet("x.onnx", card_of(results).spec)
    names: dict[str, object] = {"np": np}
    exec(text[text.index("def resized") : text.index("def detect")], names)
    ours = names["resized"](picture, *size).astype(int)
    theirs = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR).astype(int)
    assert np.abs(ours - theirs).max() <= 1
