"""One file per DVC stage, one verb each; the logic lives in ``pipeline`` and ``deploy``."""

import os

# Read when torch loads its OpenMP library, so it must be set before. Threads that spin at every barrier make training
# on a machine with other work many times slower; on an idle one waiting passively costs little.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
