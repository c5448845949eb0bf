# mmdet's own configuration names the file without a hash; OpenMMLab publishes it under this name as well.
_folder = "https://download.openmmlab.com/mmdetection/v3.0/rtmdet/cspnext_rsb_pretrain"

backbone_weights = dict(
    layout="openmmlab_classifier",
    licence="Apache-2.0, as mmdetection; it says nothing of ImageNet's own terms",
    sha256_prefix="ea671761",
    sources=[f"{_folder}/cspnext-s_imagenet_600e-ea671761.pth", f"{_folder}/cspnext-s_imagenet_600e.pth"],
)
