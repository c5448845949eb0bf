"""The learning side: data sets, checkpoints, distillers, training, evaluation, records and the report."""

from deploy.runtime.commands import announce_interrupts
from pipeline.mmcv_extension import provide

announce_interrupts()
# Before anything imports mmdet, which needs mmcv's compiled operators.
provide()
