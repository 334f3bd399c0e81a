"""Operations that degrade a recording before anything reads it: noise, voices, dark pictures.

Each operation takes the decoded stream of one recording (`mien.media.Frame` and `Samples`, in
order of time) and a seed, and gives the stream as it would have been recorded under worse
conditions. Times stay true. The same seed gives the same stream, however the sound was cut into
pieces. ``repr`` of an operation tells it from every other, so that features can be cached by it.

Signal-to-noise ratios are measured against active speech: the mean power of the 20 ms frames that
are at most 15.9 dB below that mean, the margin of ITU-T Recommendation P.56 (2011) without its
envelope. A stream cannot be measured to its end before it is passed on, so the level is that of the
first 30 s of sound, or of all sound where there is less, and holds from then on: the noise of a
room does not follow the voice. Where these 30 s are silent there is no level, and no noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from inspect import signature
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.errors import OptionError
from mien.missing import _checks
from mien.registry import Registry, check_options
from mien.schema import AUDIO, MODALITIES, VIDEO
from mien.stream import SAMPLE_RATE_HZ, Frame, Samples

Item = Frame | Samples
Floats = NDArray[np.float32]

LEVEL_S = 30.0
_ACTIVE_MARGIN = 10**-1.59
_LEVEL_SAMPLES = int(LEVEL_S * SAMPLE_RATE_HZ)
_FRAME_SAMPLES = SAMPLE_RATE_HZ // 50


class RawOperation(Protocol):
    """Degrades the decoded stream of one recording."""

    def __call__(self, items: Iterator[Item], seed: int) -> Iterator[Item]:
        """Degrade the stream.

        Args:
            items: frames and samples, each kind in order of time.
            seed: of whatever is left to chance.
        """


@dataclass(frozen=True)
class WhiteNoise:
    """White Gaussian noise on the sound, clipped at full scale.

    Attributes:
        snr_db: active speech over noise, from -60 to 100 dB.
    """

    modality: ClassVar[str] = AUDIO
    snr_db: float

    def __post_init__(self) -> None:
        _check_snr(self)

    def __call__(self, items: Iterator[Item], seed: int) -> Iterator[Item]:
        """Add noise to the stream; up to 30 s of sound are held back."""
        generator = np.random.default_rng(seed)
        return _degrade_sound(
            items, self.snr_db, lambda count: generator.standard_normal(count, dtype=np.float32)
        )


@dataclass(frozen=True)
class Babble:
    """Other voices behind the speaker, from a random place of a mix that is played in a loop.

    Attributes:
        mix: ``(samples,)`` float32, 16 kHz, several voices on top of each other; copied.
        snr_db: active speech over the mean power of the mix, from -60 to 100 dB.
        mix_sha256: which mix it is, in hexadecimal.
    """

    modality: ClassVar[str] = AUDIO
    mix: Floats = field(repr=False, compare=False)
    snr_db: float
    mix_sha256: str = field(init=False)

    def __post_init__(self) -> None:
        _check_snr(self)
        mix = np.array(self.mix, dtype=np.float32)
        if mix.ndim != 1 or not np.isfinite(mix).all() or not mix.any():
            raise OptionError(
                f"a mix of shape {mix.shape} is no sound",
                advice="give one channel of finite samples that are not all zero",
            )
        mix.setflags(write=False)
        object.__setattr__(self, "mix", mix)
        object.__setattr__(self, "mix_sha256", hashlib.sha256(mix.tobytes()).hexdigest())

    def __call__(self, items: Iterator[Item], seed: int) -> Iterator[Item]:
        """Add voices to the stream; up to 30 s of sound are held back."""
        place = int(np.random.default_rng(seed).integers(len(self.mix)))
        scale = np.float32(1 / np.sqrt(_power(self.mix)))

        def more(count: int) -> Floats:
            nonlocal place
            where = np.arange(place, place + count) % len(self.mix)
            place = (place + count) % len(self.mix)
            return np.asarray(self.mix[where] * scale, dtype=np.float32)

        return _degrade_sound(items, self.snr_db, more)


@dataclass(frozen=True)
class FrameRate:
    """Fewer pictures: the first of each tick of a clock, the others are lost.

    Attributes:
        rate_hz: ticks a second, above 0.
    """

    modality: ClassVar[str] = VIDEO
    rate_hz: float

    def __post_init__(self) -> None:
        _check_number(self, "rate_hz", 0.001, 1000)

    def __call__(self, items: Iterator[Item], seed: int) -> Iterator[Item]:
        """Leave out frames of the stream; nothing is left to chance."""
        last = -1
        for item in items:
            if isinstance(item, Frame):
                tick = int(item.time * self.rate_hz + 1e-6)
                if tick == last:
                    continue
                last = tick
            yield item


@dataclass(frozen=True)
class Dark:
    """Dark pictures, with the noise of a sensor at its limit if wanted.

    Attributes:
        factor: of the stored grey values, from 0 (black) to 1.
        noise: standard deviation of Gaussian noise after darkening, in grey values of 255.
    """

    modality: ClassVar[str] = VIDEO
    factor: float
    noise: float = 0.0

    def __post_init__(self) -> None:
        _check_number(self, "factor", 0, 1)
        _check_number(self, "noise", 0, 255)

    def __call__(self, items: Iterator[Item], seed: int) -> Iterator[Item]:
        """Darken the frames of the stream."""
        generator = np.random.default_rng(seed)
        for item in items:
            yield self._darken(item, generator) if isinstance(item, Frame) else item

    def _darken(self, frame: Frame, generator: np.random.Generator) -> Frame:
        grey = frame.image * np.float32(self.factor)
        if self.noise:
            grey += generator.standard_normal(grey.shape, dtype=np.float32) * np.float32(self.noise)
        return frame._replace(image=np.clip(np.rint(grey), 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class RawBurst:
    """A stretch in which pictures are black or the sound is muted, once in each period.

    Where in a period it begins is left to chance; it never reaches into the next one.

    Attributes:
        modality: ``video`` for black pictures, ``audio`` for muted sound.
        seconds: length of the stretch, above 0.
        every: length of a period in seconds, at least ``seconds``.
    """

    modality: str
    seconds: float = 2.0
    every: float = 4.0

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise OptionError(
                f"there is no {self.modality!r} to take away",
                advice=f"choose from {', '.join(MODALITIES)}",
            )
        _check_number(self, "seconds", 0.001, 1e6)
        _check_number(self, "every", self.seconds, 1e6)

    def __call__(self, items: Iterator[Item], seed: int) -> Iterator[Item]:
        """Black out or mute bursts of the stream."""
        for item in items:
            if isinstance(item, Frame) and self.modality == VIDEO:
                gone = self.covers(np.array([item.time]), seed)[0]
                yield item._replace(image=np.zeros_like(item.image)) if gone else item
            elif isinstance(item, Samples) and self.modality == AUDIO:
                times = item.time + np.arange(len(item.values)) / SAMPLE_RATE_HZ
                gone = self.covers(times, seed)
                yield item._replace(values=np.where(gone, np.float32(0), item.values))
            else:
                yield item

    def covers(self, times: NDArray[np.float64], seed: int) -> NDArray[np.bool_]:
        """Find the times, in seconds of the recording, that lie in a burst under this seed."""
        periods = np.floor(times / self.every).astype(np.int64)
        out = np.zeros(len(times), dtype=np.bool_)
        for period in np.unique(periods).tolist():
            chance = np.random.default_rng([seed, period]).random()
            begin = period * self.every + chance * (self.every - self.seconds)
            out |= (periods == period) & (times >= begin) & (times < begin + self.seconds)
        return out


RAW_OPERATIONS: Registry[Callable[..., RawOperation]] = Registry(
    "raw operation", group="mien.raw_operations"
)
RAW_OPERATIONS.register("white_noise", WhiteNoise)
RAW_OPERATIONS.register("babble", Babble)
RAW_OPERATIONS.register("frame_rate", FrameRate)
RAW_OPERATIONS.register("dark", Dark)
RAW_OPERATIONS.register("burst", RawBurst)


def create_raw_operation(name: str, **options: object) -> RawOperation:
    """Create an operation by name, as a file of settings names it.

    Args:
        name: one of `RAW_OPERATIONS`.
        **options: its attributes.

    Raises:
        OptionError: there is no such operation, or it does not take these options; an unknown word
            is answered with the nearest known.
    """
    kind = RAW_OPERATIONS[name]
    parameters = signature(kind).parameters.values()
    needed = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    check_options(name, options, [parameter.name for parameter in parameters], needed)
    try:
        return kind(**options)
    except (TypeError, ValueError) as error:
        raise OptionError(f"{name}: {error}", advice="give the options of its class") from error


def speech_power(values: Floats) -> float:
    """Compute the mean power of active speech, as this module measures it; 0 for silence.

    Args:
        values: ``(samples,)``, 16 kHz.
    """
    whole = len(values) // _FRAME_SAMPLES * _FRAME_SAMPLES
    if not whole:
        return _power(values) if len(values) else 0.0
    powers = np.square(values[:whole], dtype=np.float64).reshape(-1, _FRAME_SAMPLES).mean(1)
    level, before = float(powers.mean()), -1.0
    # Leaving out quiet frames raises the mean, so this rises until no more frames fall out.
    while level > before:
        before, level = level, float(powers[powers >= level * _ACTIVE_MARGIN].mean())
    return level


def _power(values: Floats) -> float:
    return float(np.square(values, dtype=np.float64).mean())


def _degrade_sound(
    items: Iterator[Item], snr_db: float, noise: Callable[[int], Floats]
) -> Iterator[Item]:
    """Add noise of unit power, once the level of the speech is known."""
    waiting: list[Samples] = []
    held = 0
    gain: np.float32 | None = None
    for item in items:
        if isinstance(item, Frame):
            yield item
        elif gain is not None:
            yield _add_noise(item, gain, noise)
        else:
            waiting.append(item)
            held += len(item.values)
            if held >= _LEVEL_SAMPLES:
                gain = _gain(waiting, snr_db)
                yield from (_add_noise(samples, gain, noise) for samples in waiting)
    if gain is None and waiting:
        gain = _gain(waiting, snr_db)
        yield from (_add_noise(samples, gain, noise) for samples in waiting)


def _gain(heard: list[Samples], snr_db: float) -> np.float32:
    values = np.concatenate([samples.values for samples in heard])[:_LEVEL_SAMPLES]
    return np.float32(np.sqrt(speech_power(values) / 10 ** (snr_db / 10)))


def _add_noise(samples: Samples, gain: np.float32, noise: Callable[[int], Floats]) -> Samples:
    noisy = samples.values + gain * noise(len(samples.values))
    return samples._replace(values=np.clip(noisy, -1, 1).astype(np.float32))


def _check_snr(operation: WhiteNoise | Babble) -> None:
    _check_number(operation, "snr_db", -60, 100)


def _check_number(operation: object, name: str, low: float, high: float) -> None:
    """Check a number and make it a float: 20 and 20.0 must have one ``repr``."""
    value = getattr(operation, name)
    _checks.check_number(name, value, least=low, most=high)
    object.__setattr__(operation, name, float(value))
