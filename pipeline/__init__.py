"""The learning side: data sets, checkpoints, distillers, training, evaluation, records and the report."""
