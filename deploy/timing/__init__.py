"""How long an artefact takes, in which memory."""
