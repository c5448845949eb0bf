_base_ = ["mmdet::faster_rcnn/faster-rcnn_r101_fpn_2x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet101.py"]

published = dict(teacher=39.8)
checkpoint = dict(
    sha256_prefix="1d2dac9c",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r101_fpn_2x_coco/"
            "faster_rcnn_r101_fpn_2x_coco_bbox_mAP-0.398_20200504_210455-1d2dac9c.pth"
        )
    ],
)
auto_scale_lr = dict(enable=True)
