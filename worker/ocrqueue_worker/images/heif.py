"""HEIC and other HEIF pictures, by pillow-heif. It is an extra, since it brings libheif and a decoder of HEVC."""

from __future__ import annotations

from functools import cache

from ocrqueue.errors import ImageUnsupported


@cache
def prepare_heif() -> None:
    """Let Pillow read HEIF. Raises ImageUnsupported where pillow-heif is not installed.

    Of a file the picture is decoded and nothing else, in one thread, as all decoders here.
    """
    try:
        import pillow_heif
    except ImportError:
        raise ImageUnsupported(
            "The image is HEIC or another HEIF picture, and this worker has no decoder for it.",
            remedy="pip install 'ocrqueue-worker[heif]' on the workers, or save the image as JPEG or PNG.",
            format="HEIF",
            coding="HEVC",
        ) from None
    pillow_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
