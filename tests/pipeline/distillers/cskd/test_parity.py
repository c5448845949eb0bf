"""CSKD against values that the published code computed (tests/data/cskd, see README.md there)."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.pipeline.distillers import golden
from tests.pipeline.distillers.cskd import published_code

LOSS_RTOL, GRAD_RTOL = 1e-4, 1e-3
CASES = ["A1_retina", "A1_fcos", "A1_gfl", "A1_faster", "A2_retina", "A2_fcos", "A2_gfl", "A2_faster"]


class Case:
    """One golden case: its pair is built once and its losses are computed once."""

    def __init__(self, name: str) -> None:
        folder = golden.DATA / "cskd"
        self.record, self.arrays = golden.read(folder / f"{name}.xz")
        _, images = golden.read(folder / f"{self.record['images']}.xz")
        self.batch = published_code.batch(torch.from_numpy(images["img"]), self.record["img_metas"], self.arrays)
        self.distiller = published_code.distiller(self.record["config"], self.arrays)
        if name.endswith("faster"):
            # Near-equal scores change places between versions of NMS: both go on from the stored proposals.
            for who, detector in (("st", self.distiller.student), ("tch", self.distiller._teacher)):
                count = len(self.batch["data_samples"])
                published_code.give_proposals(detector, [self.arrays[f"{who}_proposals.{i}"] for i in range(count)])
        self.losses = self.distiller(**self.batch, mode="loss")
        self.parameters = {n: p for n, p in self.distiller.named_parameters() if p.requires_grad}

    def norms(self, losses: list[Any], names: list[str]) -> dict[str, float | None]:
        """Norms of a sum's gradient at parameters of these published names; none where it is not connected."""
        total = sum(value for loss in losses for value in (loss if isinstance(loss, list) else [loss]))
        ours = {name: self.parameters.get(published_code.our_parameter(name)) for name in names}
        wanted = [parameter for parameter in ours.values() if parameter is not None]
        found = iter(torch.autograd.grad(total, wanted, retain_graph=True, allow_unused=True))
        gradients = {name: next(found) if parameter is not None else None for name, parameter in ours.items()}
        return {name: None if grad is None else grad.double().norm().item() for name, grad in gradients.items()}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def test_losses_equal_the_published_code(case: Case) -> None:
    losses = {key: value for key, value in case.record["losses"].items() if "loss" in key}
    wanted = {published_code.our_loss(key): value for key, value in losses.items()}
    assert case.losses.keys() == wanted.keys()
    for key, value in wanted.items():
        levels = torch.stack(case.losses[key]) if isinstance(case.losses[key], list) else case.losses[key]
        if isinstance(value, list):
            assert levels.tolist() == pytest.approx(value, rel=LOSS_RTOL, abs=1e-7), key
        else:
            assert levels.sum().item() == pytest.approx(value, rel=LOSS_RTOL), key
    total = case.distiller.parse_losses(case.losses)[0].item()
    assert total == pytest.approx(case.record["total"], rel=LOSS_RTOL)


def test_gradients_of_the_total_equal_the_published_code(case: Case) -> None:
    wanted = case.record["grad_norms"]["total"]
    got = case.norms(list(case.losses.values()), list(wanted))
    for name, norm in wanted.items():
        assert got[name] == (None if norm is None else pytest.approx(norm, rel=GRAD_RTOL, abs=1e-6)), name
    everything = sum(norm**2 for norm in got.values() if norm is not None) ** 0.5
    assert everything == pytest.approx(case.record["grad_norm_total"], rel=GRAD_RTOL)
    ours = {published_code.our_parameter(name) for name, norm in wanted.items() if norm is not None}
    assert case.parameters.keys() == ours


def test_gradients_of_each_loss_equal_the_published_code(case: Case) -> None:
    for key, wanted in case.record["grad_norms"]["per_loss"].items():
        got = case.norms([case.losses[published_code.our_loss(key)]], list(wanted))
        for name, norm in wanted.items():
            assert got[name] == pytest.approx(norm, rel=GRAD_RTOL, abs=1e-6), (key, name)


@pytest.mark.parametrize("name", ["A1_retina", "A1_fcos", "A1_gfl", "A1_faster"])
def test_the_defaults_are_the_published_settings(name: str) -> None:
    case = Case(name)
    plain = published_code.build_methods([{"type": "CSKD"}], case.distiller.student, case.distiller._teacher)
    distiller = published_code.Distiller(case.distiller.student, case.distiller._teacher, plain).train()
    distiller.methods.load_state_dict(case.distiller.methods.state_dict())
    got = {key: value.item() for key, value in distiller.parse_losses(distiller(**case.batch, mode="loss"))[1].items()}
    assert got == {key: value.item() for key, value in case.distiller.parse_losses(case.losses)[1].items()}
