_base_ = [
    "mmdet::fcos/fcos_r50-caffe_fpn_gn-head_ms-640-800-2x_coco.py",
    "../_base_/coco.py",
    "../_base_/weights_resnet50_caffe.py",
]

published = dict(student=38.5)
auto_scale_lr = dict(enable=True)
