"""What the parts of the chain that grow with a data set cost at COCO's size."""
