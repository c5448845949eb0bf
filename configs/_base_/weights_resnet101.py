# What `torchvision://resnet101` is today and was for both references; the SHA-256 begins with the digits in the name.
# mmdet's own models of 2020 began from torchvision's earlier file, resnet101-5d3b4d8f.pth.
backbone_weights = dict(
    layout="torchvision_resnet",
    licence="BSD-3-Clause, as torchvision; it says that terms of ImageNet may hold besides",
    sha256_prefix="63fe2227",
    sources=["https://download.pytorch.org/models/resnet101-63fe2227.pth"],
)
