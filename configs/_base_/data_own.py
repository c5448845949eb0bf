# Pictures of your own: those of the embedded data, and mirrored ones in training, of more sizes. The scales go with
# `input_size` of params.yaml (docs/recipes.md).
_base_ = ["./data_embedded.py"]

train_pipeline = [
    dict(type="LoadImageFromFile", backend_args=None),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=_base_.input_size, keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(
        type="RandomAffine",
        max_rotate_degree=0.0,
        max_translate_ratio=0.1,
        scaling_ratio_range=(0.67, 1.5),
        max_shear_degree=0.0,
        border_val=(104, 116, 124),
    ),
    dict(type="PhotoMetricDistortion", brightness_delta=24, contrast_range=(0.7, 1.3), saturation_range=(0.7, 1.3)),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
