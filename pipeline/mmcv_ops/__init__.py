"""mmcv's compiled operators on top of torchvision's kernels."""
