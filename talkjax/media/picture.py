"""Still pictures as upright 8-bit RGB."""

import os
import pathlib
import warnings

import numpy as np
import PIL.Image
import PIL.ImageOps

from talkjax.arrays import UInt8
from talkjax.errors import UserError

# What shows through a transparent picture.
BACKGROUND_GREY = 128
# Pictures beyond this are a mistake or an attack (a tiny file can claim any size).
MAX_PIXELS = 100_000_000
# Formats that are pictures and that start with a mark of their own; of the others that PIL
# knows, some are none (MPEG) and some take any bytes (TGA).
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether the file's content, not its name, is a picture (damaged or not)."""
    try:
        with _quiet(), PIL.Image.open(path, formats=_known_formats()):
            return True
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
        return False


def read_picture(
    path: str | os.PathLike[str],
) -> tuple[UInt8[np.ndarray, "h w 3"], tuple[str, ...]]:
    """Reads a picture as it is meant to be seen.

    The EXIF orientation is applied, CMYK becomes RGB, transparent pictures are laid on grey
    (`BACKGROUND_GREY`), 16-bit values are scaled to 8, the first frame of an animation is
    taken.

    Returns:
      (rgb, notes): uint8 picture, and one-line warnings with the file's name.

    Raises:
      UserError: if there is no such file, or it is no picture, or a damaged one.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"{path}: no such file, want a picture")
    if file.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty (0 bytes), want a picture")
    try:
        with _quiet(), PIL.Image.open(file, formats=_known_formats()) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(
                    f"{path}: {image.width}x{image.height} pixels, want at most "
                    f"{MAX_PIXELS // 10**6} million; scale it down"
                )
            notes = _notes(path, image)
            image.load()
            upright = PIL.ImageOps.exif_transpose(image)
            return _to_rgb(upright), notes
    except PIL.UnidentifiedImageError as error:
        raise UserError(f"{path}: is not a picture that can be read") from error
    except UserError:
        raise
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise UserError(f"{path}: the picture is damaged or truncated ({error})") from error


def _known_formats() -> list[str]:
    """Those of `_FORMATS` that this build of PIL has; it fails on names that it has not."""
    PIL.Image.init()
    return [name for name in _FORMATS if name in PIL.Image.OPEN]


def _quiet() -> warnings.catch_warnings:
    # PIL warns of large pictures and odd metadata; the size is checked here, and what cannot
    # be decoded is an error.
    return warnings.catch_warnings(action="ignore")


def _notes(path: str | os.PathLike[str], image: PIL.Image.Image) -> tuple[str, ...]:
    frames = getattr(image, "n_frames", 1)
    notes = []
    if frames > 1 and image.format != "MPO":
        notes.append(f"{path}: the picture has {frames} frames; the first is used")
    if image.has_transparency_data:
        notes.append(f"{path}: transparent picture, laid on grey ({BACKGROUND_GREY})")
    return tuple(notes)


def _to_rgb(image: PIL.Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(_to_8_bit(np.asarray(image))[..., None], 3, axis=-1)
    if image.has_transparency_data:
        grey = PIL.Image.new("RGBA", image.size, (BACKGROUND_GREY,) * 3 + (255,))
        image = PIL.Image.alpha_composite(grey, image.convert("RGBA"))
    # PIL undoes the inversion of Adobe's CMYK files while it decodes them.
    return np.array(image.convert("RGB"))


def _to_8_bit(values: np.ndarray) -> UInt8[np.ndarray, "h w"]:
    """Grey values of more than 8 bits; 16-bit whole numbers, or fractions in [0, 1]."""
    full_scale = 1.0 if values.dtype.kind == "f" and values.max(initial=0) <= 1 else 65535.0
    scaled = values.astype(np.float64) * (255.0 / full_scale)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
