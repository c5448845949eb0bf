"""What an image file says of its size, and what decoding it would take: known before a byte of it is decoded.

OpenCV tells a file's kind by its first bytes and has no call that reads a header alone. So these are the kinds that it
reads, looked at as it does; where a file could be read in two ways, the larger size counts.
"""

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_WIDTH, _HEIGHT, _BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 258, 277, 322, 323
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_TIFF_TAGS = (_WIDTH, _HEIGHT, _BITS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT)
_MOST_ENTRIES = 4096
_TEXT_HEADER = 1 << 16
_MOST_MARKERS = 1 << 16


@dataclass(frozen=True)
class ImageHeader:
    """Width and height in pixels, and how many bytes a pixel takes at the worst moment of decoding it to BGR.

    ``passes`` is how many times a decoder goes over all pixels. Bytes were measured on images of 8,000 x 8,000 pixels
    with OpenCV 5.0: the result twice, and what a decoder keeps beside it.
    """

    kind: str
    width: int
    height: int
    bytes_per_pixel: float = 6
    passes: int = 1

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.width * self.height

    @property
    def decoding_bytes(self) -> int:
        """Memory that decoding takes at its worst moment."""
        return round(self.pixels * self.bytes_per_pixel)


def read_header(content: bytes) -> ImageHeader | None:
    """The header of an image file; None where it is cut off, damaged, or of a kind that is not known here."""
    for begins, read in _READERS:
        if begins.match(content):
            try:
                return read(content)
            except (struct.error, ValueError, IndexError, KeyError, StopIteration):
                return None
    return None


def _png(content: bytes) -> ImageHeader:
    width, height, depth, colour = struct.unpack_from(">IIBB", content, 16)
    interlaced = content[28] != 0
    stored = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] * max(1, depth // 8)
    return ImageHeader("PNG", width, height, max(6, 3 + stored) if interlaced else 6)


def _jpeg(content: bytes) -> ImageHeader:
    found = [
        # A progressive one keeps its coefficients, 2 bytes each, until it is whole. Within the pixels' own data the
        # marker of a scan cannot stand.
        ImageHeader("JPEG", width, height, max(6, 3 + 2 * samples), content.count(b"\xff\xda"))
        if marker in _PROGRESSIVE
        else ImageHeader("JPEG", width, height)
        for marker, height, width, samples in _frames(content)
    ]
    return max(found, key=lambda header: header.decoding_bytes)


def _frames(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    position = 2
    for _ in range(_MOST_MARKERS):
        position = content.find(b"\xff", position)
        marker = content[position + 1]
        if position < 0 or marker == 0xDA:
            return
        if marker == 0xFF:
            position += 1
            continue
        if marker in _SOF:
            yield marker, *struct.unpack_from(">HHB", content, position + 5)
        alone = marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD9
        position += 2 if alone else 2 + struct.unpack_from(">H", content, position + 2)[0]


def _bmp(content: bytes) -> ImageHeader:
    (size,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", content, 18)
    return ImageHeader("BMP", abs(width), abs(height))


def _gif(content: bytes) -> ImageHeader:
    width, height = struct.unpack_from("<HH", content, 6)
    return ImageHeader("GIF", width, height, 9)


def _tiff(content: bytes) -> ImageHeader:
    order = "<" if content[:1] == b"I" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    (start,) = struct.unpack_from(order + ("Q" if big else "I"), content, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), content, start)
    first, step, place = (start + 8, 20, 12) if big else (start + 2, 12, 8)
    tags: dict[int, int] = {}
    for entry in range(first, first + step * min(count, _MOST_ENTRIES), step):
        tag, kind = struct.unpack_from(order + "HH", content, entry)
        if tag in _TIFF_TAGS and kind in _TIFF_TYPES:
            (value,) = struct.unpack_from(order + _TIFF_TYPES[kind], content, entry + place)
            tags[tag] = max(value, tags.get(tag, 0))
    # Bits stand elsewhere in the file where there are several samples: 2 bytes each are the usual most.
    stored = tags.get(_SAMPLES, 1) * (2 if tags.get(_SAMPLES, 1) > 1 else max(1, tags.get(_BITS, 8) // 8))
    width, height = tags[_WIDTH], tags[_HEIGHT]
    # A tile is decoded whole, however little of it lies within the image.
    tile = 4 * tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_HEIGHT, 0) / max(1, width * height)
    return ImageHeader("TIFF", width, height, 6 + min(2 * 4, max(1, stored)) + tile)


def _webp(content: bytes) -> ImageHeader:
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(content[place : place + 3], "little") for place in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 26))
    return ImageHeader("WebP", width, height, 8)


def _pnm(content: bytes) -> ImageHeader:
    found = re.finditer(rb"#[^\n\r]*|([0-9]+)", content[2:_TEXT_HEADER])
    width, height = islice((int(each[1]) for each in found if each[1]), 2)
    return ImageHeader("PNM", width, height)


def _pam(content: bytes) -> ImageHeader:
    fields = dict(re.findall(rb"^(WIDTH|HEIGHT)[ \t]+([0-9]+)", content[:_TEXT_HEADER], re.MULTILINE))
    return ImageHeader("PAM", int(fields[b"WIDTH"]), int(fields[b"HEIGHT"]), 8)


def _pfm(content: bytes) -> ImageHeader:
    width, height = (int(number) for number in content[2:_TEXT_HEADER].split(maxsplit=2)[:2])
    return ImageHeader("PFM", width, height, 24)


def _jpeg2000(content: bytes) -> ImageHeader:
    sizes = [
        struct.unpack_from(">IIII16xH", content, found.end() + 4)
        for found in re.finditer(rb"\xff\x4f\xff\x51", content)
    ]
    # A palette makes up to 255 components of one.
    columns = max((found[1][0] for found in re.finditer(rb"pclr..(.)", content, re.DOTALL)), default=0)
    headers = [
        ImageHeader("JPEG 2000", max(0, right - left), max(0, lower - upper), max(6, 4 + 4 * max(samples, columns)))
        for right, lower, left, upper, samples in sizes
    ]
    return max(headers, key=lambda header: header.decoding_bytes)


def _avif(content: bytes) -> ImageHeader:
    sizes = [struct.unpack_from(">II", content, found.end() + 4) for found in re.finditer(rb"ispe", content)]
    return max((ImageHeader("AVIF", width, height, 17) for width, height in sizes), key=lambda header: header.pixels)


def _hdr(content: bytes) -> ImageHeader:
    found = re.search(rb"^[+-][XY] ([0-9]+) [+-][XY] ([0-9]+)", content[:_TEXT_HEADER], re.MULTILINE)
    if found is None:
        raise ValueError("no size")
    return ImageHeader("HDR", int(found[2]), int(found[1]), 15)


def _sun_raster(content: bytes) -> ImageHeader:
    return ImageHeader("Sun raster", *struct.unpack_from(">II", content, 4))


def _exr(content: bytes) -> ImageHeader:
    place = content.index(b"dataWindow\0box2i\0\x10\0\0\0") + 21
    left, upper, right, lower = struct.unpack_from("<iiii", content, place)
    return ImageHeader("EXR", max(0, right - left + 1), max(0, lower - upper + 1), 24)


_READERS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], ImageHeader]], ...] = tuple(
    (re.compile(begins, re.DOTALL), read)
    for begins, read in (
        (rb"\x89PNG\r\n\x1a\n", _png),
        (rb"\xff\xd8", _jpeg),
        (rb"BM", _bmp),
        (rb"GIF8", _gif),
        (rb"(II|MM)[*+]\0|(II|MM)\0[*+]", _tiff),
        (rb"RIFF....WEBP", _webp),
        (rb"P[1-6]\s", _pnm),
        (rb"P7\s", _pam),
        (rb"P[Ff]\s", _pfm),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", _jpeg2000),
        (rb"....ftypavi[fs]|....ftypmif1|....ftypmsf1", _avif),
        (rb"#\?R(GBE|ADIANCE)", _hdr),
        (rb"\x59\xa6\x6a\x95", _sun_raster),
        (rb"\x76\x2f\x31\x01", _exr),
    )
)
