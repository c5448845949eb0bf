"""Every artefact of a model against PyTorch: the same images, accuracy and latency rung by rung."""
