_base_ = ["mmdet::retinanet/retinanet_r50_fpn_2x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet50.py"]

published = dict(teacher=37.4)
checkpoint = dict(
    sha256_prefix="fdb43119",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r50_fpn_2x_coco/"
            "retinanet_r50_fpn_2x_coco_20200131-fdb43119.pth"
        )
    ],
)
auto_scale_lr = dict(enable=True)
