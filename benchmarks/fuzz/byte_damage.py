"""Damage that knows nothing of a format: what disks, copies and cut-off downloads do to a file."""

from collections.abc import Callable
from random import Random

Damage = Callable[[Random, bytes], bytes]

_BLOCKS = (1, 16, 64, 512, 4096)


def flip_bits(random: Random, content: bytes) -> bytes:
    """One to four bits turned over."""
    damaged = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def zero_block(random: Random, content: bytes) -> bytes:
    """A block of zeros, as a file system leaves it after a power cut."""
    start, length = _span(random, content)
    return content[:start] + bytes(min(length, len(content) - start)) + content[start + length :]


def truncate(random: Random, content: bytes) -> bytes:
    """The beginning alone."""
    return content[: random.randrange(len(content))]


def cut_out(random: Random, content: bytes) -> bytes:
    """A piece is missing."""
    start, length = _span(random, content)
    return content[:start] + content[start + length :]


def duplicate(random: Random, content: bytes) -> bytes:
    """A piece is there twice."""
    start, length = _span(random, content)
    return content[: start + length] + content[start:]


def insert(random: Random, content: bytes) -> bytes:
    """Bytes of somebody else in between."""
    start = random.randrange(len(content) + 1)
    return content[:start] + random.randbytes(random.choice((1, 2, 16, 300))) + content[start:]


def overwrite(random: Random, content: bytes) -> bytes:
    """A few bytes are others; extremes are more telling than chance."""
    start, length = random.randrange(len(content)), random.choice((1, 2, 4, 8))
    value = random.choice((b"\xff" * length, b"\x00" * length, b"\x7f" * length, random.randbytes(length)))
    return (content[:start] + value + content[start + length :])[: len(content)]


BYTE_DAMAGE: tuple[Damage, ...] = (flip_bits, zero_block, truncate, cut_out, duplicate, insert, overwrite)


def damage_bytes(random: Random, content: bytes) -> bytes:
    """One of the above."""
    return random.choice(BYTE_DAMAGE)(random, content)


def _span(random: Random, content: bytes) -> tuple[int, int]:
    return random.randrange(len(content)), random.choice(_BLOCKS)
