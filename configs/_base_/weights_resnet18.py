# What `torchvision://resnet18` is today and was for both references; the SHA-256 begins with the digits in the name.
# mmdet's own models of 2020 began from torchvision's earlier file, resnet18-5c106cde.pth.
backbone_weights = dict(
    layout="torchvision_resnet",
    licence="BSD-3-Clause, as torchvision; it says that terms of ImageNet may hold besides",
    sha256_prefix="f37072fd",
    sources=["https://download.pytorch.org/models/resnet18-f37072fd.pth"],
)
