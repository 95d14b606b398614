"""G.711 A-law audio that can be recognised: make a tone, and tell how much of it arrived."""

import math
from collections.abc import Sequence

RATE_HZ = 8000
FRAME = 160
"""Samples in 20 ms, one byte each."""


def alaw_encode(sample: int) -> int:
    """One 16-bit sample as A-law (ITU-T G.711)."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(abs(sample) >> 4, 2047)
    if magnitude < 32:
        return ((magnitude >> 1) | sign) ^ 0x55
    segment = magnitude.bit_length() - 5
    return ((segment << 4) | ((magnitude >> segment) & 0x0F) | sign) ^ 0x55


def alaw_decode(byte: int) -> int:
    """One A-law byte as a 16-bit sample."""
    byte ^= 0x55
    segment, mantissa = byte >> 4 & 7, byte & 0x0F
    magnitude = (mantissa << 1) + 1 if segment == 0 else ((mantissa << 1) + 33) << (segment - 1)
    return (magnitude << 4) if byte & 0x80 else -(magnitude << 4)


_DECODED = [alaw_decode(byte) for byte in range(256)]


def tone_frames(frequency_hz: int, count: int) -> list[bytes]:
    """``count`` frames of 20 ms of one tone, phase-continuous."""
    step = 2 * math.pi * frequency_hz / RATE_HZ
    samples = (alaw_encode(int(12000 * math.sin(step * n))) for n in range(count * FRAME))
    audio = bytes(samples)
    return [audio[n : n + FRAME] for n in range(0, len(audio), FRAME)]


def share_of_tone(audio: bytes, frequency_hz: int) -> float:
    """How much of the energy of A-law ``audio`` is at ``frequency_hz``: 0 to 1 (Goertzel)."""
    samples: Sequence[int] = [_DECODED[byte] for byte in audio]
    energy = sum(sample * sample for sample in samples)
    if not energy:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * frequency_hz / RATE_HZ)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = before * before + last * last - coefficient * before * last
    return min(1.0, 2 * power / (energy * len(samples)))
