"""A recording in any accepted container to blocks of `Samples`, under caps that are checked as it decodes.

What a container claims (length, rate, sizes) is believed only where believing it costs the liar alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from voxtral_streaming.audio.decoder.container import sniff
from voxtral_streaming.audio.pcm import MAX_CHANNELS, mix
from voxtral_streaming.audio.resample import MAX_RATE, MIN_RATE, Resampler
from voxtral_streaming.audio.units import SAMPLE_RATE, Samples, exact_div
from voxtral_streaming.errors import AudioTooLong, CorruptAudio, EmptyAudio, UnsupportedMedia

BLOCK = exact_div(SAMPLE_RATE, 2)  # samples: half a second, the least that is worth a message

DECODERS = (
    "pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,"
    "pcm_f64be,pcm_alaw,pcm_mulaw,adpcm_ms,adpcm_ima_wav,flac,alac,mp3,mp3float,mp2,mp2float,aac,opus,libopus,vorbis"
)  # as libav writes a list
GUARDS = {
    "protocol_whitelist": "",  # nothing but the bytes at hand
    "enable_drefs": "0",  # a MP4 file may not name others
    "codec_whitelist": DECODERS,  # also keeps probing from decoding pictures and video
}
ESTIMATED = frozenset({"mp3", "aac"})  # their length is a guess from the bit rate of the first frames
MICROSECOND = 1e-6  # seconds; libav's unit for the length of a container


class Recording:
    """The first audio stream of a file. Opened, decoded once by `blocks`, closed.

    `duration` is what the container claims, in seconds, or None; `sanitized` counts values that were
    replaced and `damaged` packets that were passed over, both so far.
    """

    def __init__(self, file: BinaryIO, max_seconds: float) -> None:
        """Open a seekable file; raises `EmptyAudio`, `UnsupportedMedia`, `CorruptAudio` and `AudioTooLong`."""
        self._demuxer = sniff(file)
        self._max_seconds = max_seconds
        self._container = _open(file, self._demuxer)
        self._stream = _audio_stream(self._container)
        self.duration = self._claimed_duration()
        self.sanitized = 0
        self.damaged = 0
        self._n_values = 0
        self._is_silent = True

    def blocks(self) -> Iterator[Samples]:
        """Decode everything, in blocks of half a second or a little more; the last may be shorter."""
        ready: list[Samples] = []
        for samples in self._resampled():
            ready.append(samples)
            if sum(map(len, ready)) >= BLOCK:
                yield np.concatenate(ready)
                ready.clear()
        if any(map(len, ready)):
            yield np.concatenate(ready)
        self._check_content()

    def close(self) -> None:
        """Give up the container; the file stays open."""
        self._container.close()

    def _claimed_duration(self) -> float | None:
        claim = (self._container.duration or 0) * MICROSECOND
        if claim > self._max_seconds and self._demuxer not in ESTIMATED:
            raise AudioTooLong(f"the audio says that it lasts {claim:.0f} s; at most {self._max_seconds:g} s are taken")
        return claim if 0 < claim <= self._max_seconds else None

    def _resampled(self) -> Iterator[Samples]:
        """The samples at 16 kHz. The rate may change from frame to frame (joined AAC streams, HE-AAC)."""
        resampler: Resampler | None = None
        for rate, mono in self._mono():
            if resampler is None or rate != resampler.rate:
                if resampler is not None:
                    yield resampler.finish()
                resampler = Resampler(rate)
            yield resampler.feed(mono)
        if resampler is not None:
            yield resampler.finish()

    def _mono(self) -> Iterator[tuple[int, Samples]]:
        """Rate and mono samples of every frame, as long as the recording is not too long."""
        seconds = 0.0
        for frame in self._frames():
            _check_frame(frame)
            seconds += frame.samples / frame.sample_rate
            if seconds > self._max_seconds:
                raise AudioTooLong(f"the audio is longer than {self._max_seconds:g} s")
            mono, n_replaced = mix(_values(frame))
            self.sanitized += n_replaced
            self._n_values += frame.samples * frame.layout.nb_channels
            self._is_silent = self._is_silent and not mono.any()
            yield frame.sample_rate, mono

    def _frames(self) -> Iterator[AudioFrame]:
        for packet in self._packets():
            try:
                frames = self._stream.decode(packet)
            except av.FFmpegError as error:
                self._pass_over(error)
            else:
                yield from frames

    def _packets(self) -> Iterator[av.Packet[Any]]:
        """The packets of the stream, up to a place from which the container cannot be read on."""
        try:
            yield from self._container.demux(self._stream)
        except av.FFmpegError as error:
            self._pass_over(error)

    def _pass_over(self, error: av.FFmpegError) -> None:
        if isinstance(error, MemoryError):
            raise error
        self.damaged += 1

    def _check_content(self) -> None:
        if self._n_values == 0 and self.damaged:
            raise CorruptAudio("nothing in the audio can be decoded")
        if self._n_values == 0:
            raise EmptyAudio("the audio holds no samples")
        if self.sanitized == self._n_values and self._is_silent:
            raise CorruptAudio("no sample of the audio is a number")


def _open(file: BinaryIO, demuxer: str) -> InputContainer:
    try:
        return av.open(file, "r", format=demuxer, options=GUARDS, metadata_errors="replace")  # tags in any code page
    except av.FFmpegError as error:
        raise CorruptAudio(f"the {demuxer} container cannot be read: {error.strerror}") from error


def _audio_stream(container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        raise UnsupportedMedia("the file holds no audio stream")
    stream = container.streams.audio[0]
    if not stream.codec_context:
        raise CorruptAudio("the audio stream names no codec that exists")
    if stream.codec_context.name not in DECODERS.split(","):
        raise UnsupportedMedia(f"the codec {stream.codec_context.name} is not accepted")
    if stream.codec_context.sample_rate:  # else the first frame will say it
        _check_rate(stream.codec_context.sample_rate)
    stream.codec_context.thread_count = 1
    return stream


def _check_frame(frame: AudioFrame) -> None:
    if not 1 <= frame.layout.nb_channels <= MAX_CHANNELS:
        raise UnsupportedMedia(f"{frame.layout.nb_channels} channels are not 1 to {MAX_CHANNELS}")
    _check_rate(frame.sample_rate)


def _check_rate(rate: int) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise CorruptAudio(f"a rate of {rate} Hz is outside {MIN_RATE} to {MAX_RATE} Hz")


def _values(frame: AudioFrame) -> NDArray[Any]:
    """The values of a frame [n_frames, n_channels], interleaved or in planes."""
    values = frame.to_ndarray()
    return values.T if frame.format.is_planar else values.reshape(frame.samples, -1)
