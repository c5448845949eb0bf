# mmdet's `open-mmlab://detectron/resnet101_caffe`: Detectron's ImageNet model, for images in BGR that are centred only.
backbone_weights = dict(
    layout="detectron_resnet",
    licence="CC BY-SA 3.0, by Detectron's model zoo",
    sha256_prefix="3ad79236",
    sources=["https://download.openmmlab.com/pretrain/third_party/resnet101_caffe-3ad79236.pth"],
)
