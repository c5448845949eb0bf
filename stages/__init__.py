"""One file per DVC stage, one verb each; the logic lives in ``pipeline`` and ``deploy``."""
