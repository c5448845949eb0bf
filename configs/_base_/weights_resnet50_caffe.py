# mmdet's `open-mmlab://detectron/resnet50_caffe`: Detectron's ImageNet model, for images in BGR that are centred only.
backbone_weights = dict(
    layout="detectron_resnet",
    licence="CC BY-SA 3.0, by Detectron's model zoo",
    sha256_prefix="788b5fa3",
    sources=["https://download.openmmlab.com/pretrain/third_party/resnet50_caffe-788b5fa3.pth"],
)
