_base_ = [
    "mmdet::fcos/fcos_r101-caffe_fpn_gn-head_ms-640-800-2x_coco.py",
    "../_base_/coco.py",
    "../_base_/weights_resnet101_caffe.py",
]

published = dict(teacher=40.8)
checkpoint = dict(
    sha256_prefix="511424d6",
    sources=[
        (
            "https://download.openmmlab.com/mmdetection/v2.0/fcos/fcos_r101_caffe_fpn_gn-head_mstrain_640-800_2x_coco/"
            "fcos_r101_caffe_fpn_gn-head_mstrain_640-800_2x_coco-511424d6.pth"
        )
    ],
)
auto_scale_lr = dict(enable=True)
