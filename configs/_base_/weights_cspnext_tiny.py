# mmdet's own configuration names the file without a hash; OpenMMLab publishes it under this name as well.
_folder = "https://download.openmmlab.com/mmdetection/v3.0/rtmdet/cspnext_rsb_pretrain"

backbone_weights = dict(
    layout="openmmlab_classifier",
    licence="Apache-2.0, as mmdetection; it says nothing of ImageNet's own terms",
    sha256_prefix="3a2dd350",
    sources=[f"{_folder}/cspnext-tiny_imagenet_600e-3a2dd350.pth", f"{_folder}/cspnext-tiny_imagenet_600e.pth"],
)
