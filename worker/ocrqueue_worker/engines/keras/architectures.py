"""Detectors that a model directory can name: keras-ocr's own, and CRAFT with fewer channels."""

from __future__ import annotations

from typing import Any, Final

import efficientnet.tfkeras as efficientnet
import keras_ocr.detection
from tensorflow import keras

_VGG_BLOCKS: Final = (
    (64, "1.0", False), (64, "1.3", True), (128, "1.7", False), (128, "1.10", True), (256, "2.14", False),
    (256, "2.17", False), (256, "3.20", True), (512, "3.24", False), (512, "3.27", False), (512, "4.30", True),
    (512, "4.34", False), (512, "4.37", False),
)  # fmt: skip
"""Channels, name and whether the picture is halved afterwards, of VGG-16 with batch normalisation up to conv5_2."""


def build_detector(backbone: str, channel_divisor: int) -> Any:
    """A keras model from N x H x W x 3, normalised as `compute_input` does, to N x H/2 x W/2 x 2, with random weights.

    `backbone` is "vgg" or the name of an EfficientNet as keras_ocr.detection.build_keras_model takes it.
    A `channel_divisor` of 8 gives "vgg" an eighth of CRAFT's channels in every layer: 0.33 million parameters where
    CRAFT has 20.8 million.
    """
    if channel_divisor == 1:
        # a path of None means to keras-ocr that an EfficientNet is to begin with ImageNet's weights, from the network
        if backbone != "vgg":
            return _without_download(backbone)
        return keras_ocr.detection.build_keras_model(weights_path=None, backbone_name=backbone)
    return _narrow_craft(channel_divisor)


def _without_download(backbone: str) -> Any:
    # keras-ocr hands over its own input, which efficientnet 1.0 takes for one of another Keras
    body = getattr(efficientnet, backbone)(include_top=False, weights=None, input_shape=(None, None, 3))
    stages = [body.get_layer(f"block{name}_expand_activation").output for name in ("2a", "3a", "4a", "5a")]
    return keras.Model(body.input, keras.layers.Activation("sigmoid")(_head(stages, 1)))


def _narrow_craft(divisor: int) -> Any:
    """CRAFT (https://arxiv.org/abs/1904.01941, figure 2) with every number of channels divided."""
    inputs = x = keras.layers.Input((None, None, 3))
    for channels, name, pooling in _VGG_BLOCKS:
        slice_number, number = name.split(".")
        x = keras_ocr.detection.make_vgg_block(
            x, filters=channels // divisor, n=int(number), pooling=pooling, prefix=f"basenet.slice{slice_number}"
        )
    body = keras.Model(inputs, x)
    stages = [body.get_layer(f"basenet.slice{name}").output for name in ("1.12", "2.19", "3.29", "4.38")]
    return keras.Model(inputs, _head(stages, divisor))


def _head(stages: list[Any], divisor: int) -> Any:
    """From the four stages of a backbone, large to small, to the two maps."""
    first, second, third, fourth = stages
    layers = keras.layers
    x = layers.MaxPooling2D(pool_size=3, strides=1, padding="same", name="basenet.slice5.0")(fourth)
    x = layers.Conv2D(1024 // divisor, 3, padding="same", dilation_rate=6, name="basenet.slice5.1")(x)
    x = layers.Conv2D(1024 // divisor, 1, padding="same", name="basenet.slice5.2")(x)
    x = keras_ocr.detection.upconv(layers.Concatenate()([x, fourth]), n=1, filters=512 // divisor)
    for n, (stage, channels) in enumerate(((third, 256), (second, 128), (first, 64)), start=2):
        x = keras_ocr.detection.UpsampleLike()([x, stage])
        x = keras_ocr.detection.upconv(layers.Concatenate()([x, stage]), n=n, filters=channels // divisor)
    for n, (channels, size) in enumerate(((32, 3), (32, 3), (16, 3), (16, 1))):
        # fewer than 8 channels lose small text
        x = layers.Conv2D(max(8, channels // divisor), size, padding="same", name=f"conv_cls.{2 * n}")(x)
        x = layers.Activation("relu", name=f"conv_cls.{2 * n + 1}")(x)
    return layers.Conv2D(2, 1, padding="same", name="conv_cls.8")(x)
