# What `torchvision://resnet50` is today and was for both references; the SHA-256 begins with the digits in the name.
# mmdet's own models of 2020 began from torchvision's earlier file, resnet50-19c8e357.pth.
backbone_weights = dict(
    layout="torchvision_resnet",
    licence="BSD-3-Clause, as torchvision; it says that terms of ImageNet may hold besides",
    sha256_prefix="0676ba61",
    sources=["https://download.pytorch.org/models/resnet50-0676ba61.pth"],
)
