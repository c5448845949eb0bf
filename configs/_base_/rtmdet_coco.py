# RTMDet as mmdet's own files train it. A recipe takes the parts as `_base_.<name>`.

# mmdet resizes to at most 640 x 640 and fills the rest up. 32 is for `export.dynamic_size`: the neck takes multiples.
input_size = (640, 640)
multiples = dict(pad_size_divisor=32)

# mmdet's rates are for 8 x 32 images. Its files inherit 16, by which `auto_scale_lr` would make them 16 times as high.
rates_for_256_images = dict(enable=True, base_batch_size=256)
