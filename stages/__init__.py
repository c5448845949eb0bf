"""One file per DVC stage, one verb each; the logic lives in ``pipeline`` and ``deploy``."""

import gc

from deploy.runtime.commands import announce_interrupts

announce_interrupts()
# What imports make stays: looking through it for garbage again and again takes 1 of their 5 s. `stage_main` enables it.
gc.disable()
