_base_ = ["mmdet::retinanet/retinanet_r50_fpn_1x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet50.py"]

published = dict(teacher=36.5)
checkpoint = dict(
    sha256_prefix="c2398f9e",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r50_fpn_1x_coco/"
            "retinanet_r50_fpn_1x_coco_20200130-c2398f9e.pth"
        )
    ],
)
auto_scale_lr = dict(enable=True)
