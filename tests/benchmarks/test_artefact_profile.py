"""Where an operator of a compiled graph is counted: by the names that runtimes give it."""

import pytest
from onnx import TensorProto, helper

from benchmarks.artefact_profile import OWN, Cost, place_of, places_of, table


@pytest.fixture
def places() -> dict[str, str]:
    weights = [
        helper.make_tensor(name, TensorProto.FLOAT, [1], [0.0])
        for name in ("detector.backbone.conv1.weight", "predictor.head.gfl_cls.weight")
    ]
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], "node_cast"),
        helper.make_node("Conv", ["pixels", weights[0].name], ["getitem"], "node_Conv_1"),
        helper.make_node("Relu", ["getitem"], ["relu"], "node_relu"),
        helper.make_node("Conv", ["relu", weights[1].name], ["conv2d_12"], "node_Conv_12"),
        helper.make_node("Sigmoid", ["conv2d_12"], ["scores"], "node_sigmoid"),
    ]
    return places_of(helper.make_graph(nodes, "graph", [], [], weights))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("node_cast", "input"),
        ("node_Conv_1", "backbone"),
        ("node_Conv_12", "head"),  # and not that of node_Conv_1, with which it begins
        ("relu_nchwc", "backbone"),  # as ONNX Runtime names what it fuses
        ("conv2d_12/fused", "head"),
        ("node_sigmoid", "head"),
        ("ReorderOutput_token_3", OWN),
    ],
)
def test_an_operator_counts_where_its_weights_are(places: dict[str, str], name: str, place: str) -> None:
    assert place_of(name, places) == place


def test_the_dearest_come_first_and_the_rest_is_told(places: dict[str, str]) -> None:
    costs = [Cost("node_Conv_1", "Conv", 3.0), Cost("node_Conv_12", "Conv", 6.0), Cost("node_cast", "Cast", 1.0)]
    lines = table(costs, places, top=1).splitlines()[2:]
    assert lines == [
        "| head | Conv | 1 | 6.000 | 60% |",
        "| | the rest | | 4.000 | 40% |",
        "| | all | | 10.000 | |",
    ]
