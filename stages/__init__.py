"""One file per DVC stage, one verb each; the logic lives in ``pipeline`` and ``deploy``."""

from deploy.runtime.commands import announce_interrupts

announce_interrupts()
