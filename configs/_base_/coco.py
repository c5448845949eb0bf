# COCO as the published recipes train on it: what mmdet's own configurations lack, and the parts that its 1x files do
# not have. A recipe takes them as `_base_.<name>`; names of mmdet's files (train_pipeline, ...) cannot be given twice.

# mmdet resizes to at most 1333 x 800 and pads to multiples of 32. The artefact's canvas is fixed, unless
# export.dynamic_size is set: a photo that is higher than wide is made to fit 800 rows here.
input_size = (800, 1344)

_before = [
    dict(type="LoadImageFromFile", backend_args=None),
    dict(type="LoadAnnotations", with_bbox=True),
]
_after = [dict(type="RandomFlip", prob=0.5), dict(type="PackDetInputs")]
from_640 = [*_before, dict(type="RandomResize", scale=[(1333, 640), (1333, 800)], keep_ratio=True), *_after]
from_480 = [*_before, dict(type="RandomResize", scale=[(1333, 480), (1333, 800)], keep_ratio=True), *_after]

warm_up_from_a_third = dict(type="LinearLR", start_factor=1.0 / 3, by_epoch=False, begin=0, end=500)
warm_up_from_a_thousandth = dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500)
steps_of_12_epochs = dict(type="MultiStepLR", begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1)
steps_of_24_epochs = dict(type="MultiStepLR", begin=0, end=24, by_epoch=True, milestones=[16, 22], gamma=0.1)
