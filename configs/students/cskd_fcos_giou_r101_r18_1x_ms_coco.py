# The published file does not build (weights of another shape, unknown arguments); these are the weights of its sibling
# with the R50 teacher. No AP was published.
_base_ = ["./twin_fcos_giou_r18_1x_ms_coco.py"]

teacher = "configs/teachers/fcos_giou_r101_2x_ms_coco.py"
twin = "configs/students/twin_fcos_giou_r18_1x_ms_coco.py"
published = dict(teacher=42.6)
distillation = dict(methods=[dict(type="CSKD")])
