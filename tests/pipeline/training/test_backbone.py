"""ImageNet weights of each layout give the backbone the features of the network that they come from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from torch import nn

from pipeline.errors import CheckpointError, RecipeError
from pipeline.storage import sha256_of
from pipeline.training import backbone as backbones
from pipeline.training.backbone import load_backbone

SWIN = {"type": "SwinTransformer", "embed_dims": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]}


def resnet(depth: int, style: str = "pytorch") -> dict[str, Any]:
    return {"type": "ResNet", "depth": depth, "num_stages": 4, "out_indices": (0, 1, 2, 3), "style": style}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Builds a backbone and loads ``state`` as a file of the layout."""
    monkeypatch.setattr(backbones, "CACHE", tmp_path / "cache")
    register_all_modules(init_default_scope=True)

    def run(config: dict[str, Any], layout: str, state: dict[str, torch.Tensor]) -> Any:
        file = tmp_path / "weights.pth"
        torch.save(state, file)
        backbone = MODELS.build(config)
        load_backbone(backbone, {"layout": layout, "sources": [str(file)], "sha256_prefix": sha256_of(file)[:8]})
        backbone.eval()  # mmdet returns nothing here
        return backbone

    return run


def randomised(model: nn.Module) -> Any:
    """A network in which no two channels, and no two positions, are alike."""
    torch.manual_seed(0)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor) * 0.2 + (0.9 if tensor.ndim == 1 else -0.1))
    return model.eval()


@pytest.mark.parametrize(("depth", "make"), [(18, torchvision.models.resnet18), (50, torchvision.models.resnet50)])
def test_torchvision_resnet(load: Callable[..., Any], depth: int, make: Callable[[], nn.Module]) -> None:
    source: Any = randomised(make())
    backbone = load(resnet(depth), "torchvision_resnet", source.state_dict())
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = source.layer1(source.maxpool(source.relu(source.bn1(source.conv1(images)))))
        torch.testing.assert_close(backbone(images)[0], expected)
        torch.testing.assert_close(backbone(images)[1], source.layer2(expected))


def test_files_of_the_time_before_batch_counters_load_too(load: Callable[..., Any]) -> None:
    state = {k: v for k, v in torchvision.models.resnet18().state_dict().items() if "num_batches_tracked" not in k}
    backbone = load(resnet(18), "torchvision_resnet", state)
    assert torch.equal(backbone.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])


def test_detectron_resnet_without_the_biases_of_its_convolutions(load: Callable[..., Any]) -> None:
    state = MODELS.build(resnet(50, "caffe")).state_dict()
    biases = {
        name.replace(".weight", ".bias"): torch.ones(len(value)) for name, value in state.items() if value.ndim == 4
    }
    assert "conv1.bias" in biases
    assert "layer3.0.downsample.0.bias" in biases
    backbone = load(resnet(50, "caffe"), "detectron_resnet", {**state, **biases})
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_torchvision_swin_has_the_same_features(load: Callable[..., Any]) -> None:
    source: Any = randomised(torchvision.models.swin_t())
    backbone = load({**SWIN, "window_size": 7, "out_indices": (0, 1, 2, 3)}, "torchvision_swin", source.state_dict())
    # Feature maps that are no multiples of the window. The last stage's is smaller than one: there torchvision does not
    # shift windows and mmdet does.
    images = torch.rand(1, 3, 128, 160)
    with torch.no_grad():
        feature, expected = images, []
        for index, part in enumerate(source.features):
            feature = part(feature)
            if index % 2:
                expected.append(getattr(backbone, f"norm{index // 2}")(feature).permute(0, 3, 1, 2))
        for got, wanted in zip(backbone(images)[:3], expected[:3], strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_what_is_left_over_is_named(load: Callable[..., Any]) -> None:
    state = torchvision.models.resnet18().state_dict()
    with pytest.raises(CheckpointError, match=r"1 unexpected: layer5\.weight"):
        load(resnet(18), "torchvision_resnet", {**state, "layer5.weight": torch.ones(1)})
    with pytest.raises(CheckpointError, match=r"missing: conv1\.weight"):
        load(resnet(18), "torchvision_resnet", {k: v for k, v in state.items() if k != "conv1.weight"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": "timm"}, "layout: Input should be"),
        ({"sha256_prefix": None}, "exactly one of sha256"),
        ({"sha256": "0" * 64}, "exactly one of sha256"),
        ({"sha256_prefix": "0676ba"}, "sha256_prefix: String should match"),
        ({"url": "https://x"}, "url: Extra inputs"),
    ],
)
def test_a_source_that_is_not_complete_is_explained(change: dict[str, Any], message: str) -> None:
    source = {"layout": "torchvision_resnet", "sources": ["no.pth"], "sha256_prefix": "0676ba61"}
    with pytest.raises(RecipeError, match=rf"backbone_weights of the recipe: .*{message}"):
        load_backbone(nn.Identity(), source | change)


def test_the_backbone_of_a_classifier_of_openmmlab(load: Callable[..., Any]) -> None:
    config = {"type": "CSPNeXt", "widen_factor": 0.125, "deepen_factor": 0.1, "out_indices": (2, 3, 4)}
    source: Any = MODELS.build(config)
    randomised(source)
    state = {f"backbone.{name}": tensor for name, tensor in source.state_dict().items()}
    backbone = load(config, "openmmlab_classifier", state | {"head.fc.weight": torch.ones(10, 128)})
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), source(images))
