"""Files in, annotated copies and COCO json out."""
