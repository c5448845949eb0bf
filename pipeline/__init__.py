"""The learning side: data sets, checkpoints, distillers, training, evaluation, records and the report."""

from pipeline.mmcv_extension import provide

# Before anything imports mmdet, which needs mmcv's compiled operators.
provide()
