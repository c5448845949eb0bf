"""CrossKD and PKD against values that the published code computed (tests/data/crosskd, see README.md there).

The published code's names for the losses appear here and nowhere else.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from pipeline.device import describe_device
from pipeline.distillers import Distiller, build_methods
from tests.pipeline.distillers import golden

LOSS_RTOL = 2e-5
# Convolutions round by the CPU. With AVX-512, as where the values were made, norms agree to 1e-5. Elsewhere the bar is
# the specification's: 4.3e-5 and 4.6e-4 were measured without it (RetinaNet's first batch, GFL's last), and weights
# moved by one rounding (6e-8) move the norms of that first batch by 6e-5 to 4e-3, by ReLUs at their edge.
ROUNDS_AS_MADE = "avx512f" in describe_device().instruction_sets
GRAD_RTOL = 1e-5 if ROUNDS_AS_MADE else 1e-3
GRAD_ATOL = 1e-7
STOCK = {"CrossKDGFL": "GFL", "CrossKDRetinaNet": "RetinaNet", "CrossKDFCOS": "FCOS", "CrossKDATSS": "ATSS"}
REG_LOSS = {"KnowledgeDistillationKLDivLoss": "kl", "GIoULoss": "giou", "IoULoss": "iou"}
OURS = {"losses_center_kd": "loss_center_kd"} | {f"loss_feat_kd_{level}": f"loss_feat_kd.{level}" for level in range(5)}
CASES = ["A_gfl", "A_retinanet", "A_fcos", "A_atss", "A_retinanet_swin"]
MODES = ["crosskd", "crosskd+pkd"]
BATCHES = ["b0", "b1", "b2"]


class Case:
    """One golden case: its pair is built once, and what a batch gives is computed once."""

    def __init__(self, name: str) -> None:
        register_all_modules(init_default_scope=True)
        self.name = name
        self.golden, self._arrays = golden.read(golden.DATA / "crosskd" / f"{name}.xz")
        config = self.golden["model_cfg"]["crosskd"]
        stock = {key: value for key, value in config.items() if key not in ("teacher_config", "kd_cfg")}
        self.student = self._detector(stock | {"type": STOCK[config["type"]]}, "student")
        self.teacher = self._detector(config["teacher_config"]["model"], "teacher")
        self._seen: dict[tuple[str, str], tuple[dict[str, torch.Tensor], dict[str, dict[str, Any]]]] = {}

    def wanted(self, mode: str, batch: str) -> dict[str, Any]:
        return self.golden["results"][mode][batch]

    def losses(self, mode: str, batch: str) -> dict[str, torch.Tensor]:
        return self._run(mode, batch)[0]

    def gradients(self, mode: str, batch: str, which: str) -> dict[str, torch.Tensor | None]:
        return self._run(mode, batch)[1][which]

    def distiller(self, mode: str) -> Distiller:
        config = self.golden["model_cfg"][mode]["kd_cfg"]
        cls, reg = config["loss_cls_kd"], config["loss_reg_kd"]
        crosskd = {
            "type": "CrossKD",
            "reused_head_index": config["reused_teacher_head_idx"],
            "cls_weight": cls["loss_weight"],
            "reg_weight": reg["loss_weight"],
            "center_weight": config.get("loss_center_kd", {}).get("loss_weight", 0),
            "reg_loss": REG_LOSS[reg["type"]],
            "beta": cls["beta"],
            "temperature": reg.get("T", 1),
            "bin_reduction": reg.get("class_reduction", "sum"),
            "legacy_normaliser": True,
        }
        pkd = [{"type": "PKD", "weight": config["loss_feat_kd"]["loss_weight"]}] if "loss_feat_kd" in config else []
        methods = build_methods([crosskd, *pkd], self.student, self.teacher)
        return Distiller(self.student, self.teacher, methods).train()

    def published(self, mode: str) -> Distiller:
        """With nothing but the names of the methods, as the family's defaults are the published settings."""
        configs = [{"type": "CrossKD"}] + ([{"type": "PKD"}] if mode == "crosskd+pkd" else [])
        return Distiller(self.student, self.teacher, build_methods(configs, self.student, self.teacher)).train()

    def run(self, distiller: Distiller, batch: str) -> dict[str, torch.Tensor]:
        losses = distiller(**distiller.data_preprocessor(self._batch(batch), training=True), mode="loss")
        return {
            f"{key}.{level}" if isinstance(values, list) else key: value
            for key, values in losses.items()
            for level, value in enumerate(values if isinstance(values, list) else [values])
        }

    def _run(self, mode: str, batch: str) -> tuple[dict[str, torch.Tensor], dict[str, dict[str, Any]]]:
        if (mode, batch) not in self._seen:
            losses = self.run(self.distiller(mode), batch)
            parameters = dict(self.student.named_parameters())
            trained = {name: p for name, p in parameters.items() if p.requires_grad}
            gradients = {}
            for which, terms in (
                ("grads_total", list(losses.values())),
                ("grads_kd_only", [value for key, value in losses.items() if "kd" in key and "feat" not in key]),
            ):
                found = torch.autograd.grad(sum(terms), list(trained.values()), retain_graph=True, allow_unused=True)
                gradients[which] = dict.fromkeys(parameters) | dict(zip(trained, found, strict=True))
            self._seen[mode, batch] = ({key: value.detach() for key, value in losses.items()}, gradients)
        return self._seen[mode, batch]

    def _detector(self, config: dict[str, Any], who: str) -> Any:
        detector = MODELS.build(ConfigDict(json.loads(json.dumps(config))))
        names = [name for name in self._arrays if name.startswith(f"{who}/")]
        detector.load_state_dict({name[len(who) + 1 :]: torch.from_numpy(self._arrays[name]) for name in names})
        return detector

    def _batch(self, name: str) -> dict[str, Any]:
        arrays = self._arrays
        count = sum(key.startswith(f"{name}/img") for key in arrays)
        images = [torch.from_numpy(arrays[f"{name}/img{index}"]) for index in range(count)]
        samples = []
        for index, image in enumerate(images):
            shape = tuple(image.shape[1:])
            sample = DetDataSample(metainfo={"img_id": index, "img_path": "", "ori_shape": shape, "img_shape": shape})
            sample.gt_instances = InstanceData(
                bboxes=torch.from_numpy(arrays[f"{name}/gt_bboxes{index}"]),
                labels=torch.from_numpy(arrays[f"{name}/gt_labels{index}"]),
            )
            sample.ignored_instances = InstanceData(bboxes=torch.zeros((0, 4)), labels=torch.zeros(0, dtype=torch.long))
            samples.append(sample)
        return {"inputs": images, "data_samples": samples}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """The values were made with one thread; the order of sums over several moves gradient norms by up to 5e-5."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def our_name(key: str) -> str:
    name, dot, level = key.partition(".")
    return OURS.get(name, name) + dot + level


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("mode", MODES)
def test_losses_equal_the_published_code(case: Case, mode: str, batch: str) -> None:
    wanted = {our_name(key): value for key, value in case.wanted(mode, batch)["losses"].items()}
    got = {key: value.item() for key, value in case.losses(mode, batch).items()}
    assert got.keys() == wanted.keys()
    for key, value in wanted.items():
        assert got[key] == pytest.approx(value, rel=LOSS_RTOL, abs=2e-11), key


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("which", ["grads_total", "grads_kd_only"])
def test_gradients_equal_the_published_code(case: Case, mode: str, batch: str, which: str) -> None:
    wanted = case.wanted(mode, batch)[which]
    got = case.gradients(mode, batch, which)
    assert got.keys() >= wanted.keys()
    largest = max(value for value in wanted.values() if value)
    for key, gradient in got.items():
        if not wanted.get(key):
            assert gradient is None or not gradient.any(), key
        else:
            norm = gradient.double().norm().item()
            assert norm == pytest.approx(wanted[key], rel=GRAD_RTOL, abs=GRAD_ATOL * largest), key


@pytest.mark.parametrize("mode", MODES)
def test_the_defaults_are_the_published_settings(case: Case, mode: str) -> None:
    wanted = {our_name(key): value for key, value in case.wanted(mode, "b0")["losses"].items()}
    got = {key: value.item() for key, value in case.run(case.published(mode), "b0").items()}
    assert got == pytest.approx(wanted, rel=LOSS_RTOL, abs=2e-11)


def test_the_pre_activation_mistake_would_be_seen(case: Case) -> None:
    wrong = case.golden["diagnostic_preactivation_b0"]
    wrong = {our_name(key): value for key, value in wrong.get("losses", wrong).items()}
    got = case.losses("crosskd", "b0")
    differing = [key for key in wrong if "_kd" in key and abs(got[key] - wrong[key]) > 10 * LOSS_RTOL * abs(wrong[key])]
    assert differing


def test_the_teacher_gets_no_gradient(case: Case) -> None:
    before = {name: value.clone() for name, value in case.teacher.state_dict().items()}
    sum(case.run(case.distiller("crosskd+pkd"), "b0").values()).backward()
    assert all(parameter.grad is None for parameter in case.teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in case.teacher.state_dict().items())
    case.student.zero_grad()


def test_fcos_without_positives_stays_small_unless_the_published_value_is_asked_for() -> None:
    fcos = Case("A_fcos")
    legacy = fcos.losses("crosskd", "b2")["loss_cls_kd"]
    clamped = fcos.run(fcos.published("crosskd"), "b2")["loss_cls_kd"]
    assert legacy > 1e8
    # 1e-6 and the machine epsilon beside it become 1 and the machine epsilon.
    assert clamped.item() == pytest.approx(legacy.item() * (1e-6 + 2**-23) / (1 + 2**-23), rel=1e-5)
