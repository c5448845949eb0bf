"""CrossKD against values that the published code computed (tests/data/crosskd, see README.md there)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from pipeline.distillers import Distiller, build_methods

GOLDEN = Path(__file__).parents[2] / "data" / "crosskd"
LOSS_RTOL = 2e-5
GRAD_RTOL, GRAD_ATOL = 1e-5, 1e-7
STOCK = {"CrossKDGFL": "GFL"}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """The values were made with one thread; the order of sums over several moves gradient norms by up to 5e-5."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    return json.loads((GOLDEN / "A_gfl.json").read_text())


@pytest.fixture(scope="module")
def distiller(golden: dict[str, Any]) -> Distiller:
    return build(golden, "A_gfl")


def build(golden: dict[str, Any], case: str) -> Distiller:
    register_all_modules(init_default_scope=True)
    config = json.loads(json.dumps(golden["model_cfg"]["crosskd"]))
    teacher_config, kd = config.pop("teacher_config")["model"], config.pop("kd_cfg")
    config["type"] = STOCK[config["type"]]
    student, teacher = (MODELS.build(ConfigDict(model)) for model in (config, teacher_config))
    weights = np.load(GOLDEN / f"{case}.weights.npz", allow_pickle=False)
    for who, model in (("student", student), ("teacher", teacher)):
        names = [name for name in weights.files if name.startswith(f"{who}/")]
        model.load_state_dict({name[len(who) + 1 :]: torch.from_numpy(weights[name]) for name in names})
    method = {
        "type": "CrossKD",
        "reused_head_index": kd["reused_teacher_head_idx"],
        "cls_weight": kd["loss_cls_kd"]["loss_weight"],
        "reg_weight": kd["loss_reg_kd"]["loss_weight"],
    }
    return Distiller(student, teacher, build_methods([method], student, teacher)).train()


def batch(case: str, name: str) -> dict[str, Any]:
    arrays = np.load(GOLDEN / f"{case}.inputs.npz", allow_pickle=False)
    count = sum(key.startswith(f"{name}/img") for key in arrays.files)
    samples = []
    for index in range(count):
        height, width = arrays[f"{name}/img{index}"].shape[1:]
        sample = DetDataSample(
            metainfo={"img_id": index, "img_path": "", "ori_shape": (height, width), "img_shape": (height, width)}
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(arrays[f"{name}/gt_bboxes{index}"]),
            labels=torch.from_numpy(arrays[f"{name}/gt_labels{index}"]),
        )
        sample.ignored_instances = InstanceData(bboxes=torch.zeros((0, 4)), labels=torch.zeros(0, dtype=torch.long))
        samples.append(sample)
    return {"inputs": [torch.from_numpy(arrays[f"{name}/img{i}"]) for i in range(count)], "data_samples": samples}


def losses_of(distiller: Distiller, name: str) -> dict[str, torch.Tensor]:
    data = distiller.data_preprocessor(batch("A_gfl", name), training=True)
    losses = distiller(**data, mode="loss")
    return {f"{key}.{level}": value for key, values in losses.items() for level, value in enumerate(values)}


@pytest.mark.parametrize("name", ["b0", "b1", "b2"])
def test_losses_equal_the_published_code(golden: dict[str, Any], distiller: Distiller, name: str) -> None:
    wanted = golden["results"]["crosskd"][name]["losses"]
    got = {key: value.item() for key, value in losses_of(distiller, name).items()}
    assert got.keys() == wanted.keys()
    for key, value in wanted.items():
        assert got[key] == pytest.approx(value, rel=LOSS_RTOL, abs=2e-11), key


@pytest.mark.parametrize("name", ["b0", "b1", "b2"])
@pytest.mark.parametrize("which", ["grads_total", "grads_kd_only"])
def test_gradients_equal_the_published_code(
    golden: dict[str, Any], distiller: Distiller, name: str, which: str
) -> None:
    wanted = golden["results"]["crosskd"][name][which]
    terms = losses_of(distiller, name)
    distiller.zero_grad(set_to_none=True)
    sum(value for key, value in terms.items() if which == "grads_total" or "_kd" in key).backward()
    largest = max(value[0] for value in wanted.values() if value)
    for key, parameter in distiller.student.named_parameters():
        if not wanted.get(key):
            assert parameter.grad is None or not parameter.grad.any(), key
        else:
            norm = parameter.grad.norm().item()
            assert norm == pytest.approx(wanted[key][0], rel=GRAD_RTOL, abs=GRAD_ATOL * largest), key


def test_the_pre_activation_mistake_would_be_seen(golden: dict[str, Any], distiller: Distiller) -> None:
    wrong = golden["diagnostic_preactivation_b0"]
    wrong = wrong.get("losses", wrong)
    got = {key: value.item() for key, value in losses_of(distiller, "b0").items()}
    differing = [key for key in wrong if "_kd" in key and abs(got[key] - wrong[key]) > 10 * LOSS_RTOL * abs(wrong[key])]
    assert differing


def test_the_teacher_gets_no_gradient(distiller: Distiller) -> None:
    sum(losses_of(distiller, "b0").values()).backward()
    assert all(parameter.grad is None for parameter in distiller._teacher.parameters())
