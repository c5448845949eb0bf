_base_ = ["mmdet::retinanet/retinanet_r101_fpn_2x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet101.py"]

published = dict(teacher=38.9)
checkpoint = dict(
    sha256_prefix="5560aee8",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v2.0/retinanet/retinanet_r101_fpn_2x_coco/"
            "retinanet_r101_fpn_2x_coco_20200131-5560aee8.pth"
        )
    ],
)
auto_scale_lr = dict(enable=True)
