_base_ = ["mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py", "../_base_/coco.py", "../_base_/weights_resnet50.py"]

published = dict(teacher=38.4)
checkpoint = dict(
    sha256_prefix="a5d8aa15",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v2.0/faster_rcnn/faster_rcnn_r50_fpn_2x_coco/"
            "faster_rcnn_r50_fpn_2x_coco_bbox_mAP-0.384_20200504_210434-a5d8aa15.pth"
        )
    ],
)
auto_scale_lr = dict(enable=True)
