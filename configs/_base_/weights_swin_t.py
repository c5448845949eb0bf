# torchvision's Swin-T. mmdet's own configuration names Microsoft's file, which is published without any hash.
backbone_weights = dict(
    layout="torchvision_swin",
    licence="BSD-3-Clause, as torchvision; it says that terms of ImageNet may hold besides",
    sha256_prefix="704ceda3",
    sources=["https://download.pytorch.org/models/swin_t-704ceda3.pth"],
)
