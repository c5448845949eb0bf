# YOLOX as mmdet's own files train it. A recipe takes the parts as `_base_.<name>`.

# mmdet resizes to at most 640 x 640, tiny's to 416 x 416, and fills the rest up.
input_size = (640, 640)

# mmdet's rates are for 8 x 8 images.
rates_for_64_images = dict(enable=True, base_batch_size=64)
