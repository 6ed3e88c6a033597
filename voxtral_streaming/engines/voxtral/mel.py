"""The log-mel front end: windows of one token to its eight frames.

A frame is 400 samples centred on a multiple of 160, under a Hann window; 128 Slaney mel bands, log10, and a fixed
ceiling instead of the loudest sound of the recording, so that a frame depends on nothing but its own samples. The
same window gives the same bits wherever it stands and whatever is computed beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxtral_streaming.audio.units import SAMPLE_RATE, exact_div
from voxtral_streaming.engines.voxtral.facts import HOP, N_MELS, WINDOW

GLOBAL_LOG_MEL_MAX = 1.5
LOG_MEL_RANGE = 8.0
N_FREQUENCIES = exact_div(WINDOW, 2) + 1
BREAK_HZ = 1000.0  # the Slaney scale is linear below, logarithmic above
MELS_PER_HZ = 3 / 200
MELS_PER_E_FOLD = 27.0 / torch.log(torch.tensor(6.4, dtype=torch.float64)).item()


class LogMel(nn.Module):
    """Windows [..., n_samples] to log-mel frames [..., n_mels, n_frames], in float32."""

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)  # [window]
        self.register_buffer("filters", mel_filters(), persistent=False)  # [n_frequencies, n_mels]

    def forward(self, samples: Tensor) -> Tensor:
        """Frames every `HOP` samples, the first over the first `WINDOW` samples."""
        frames = samples.unfold(-1, WINDOW, HOP) * self.window  # [..., n_frames, window]
        power = torch.fft.rfft(frames).abs() ** 2  # [..., n_frames, n_frequencies]
        mel = power @ self.filters  # [..., n_frames, n_mels]
        log_mel: Tensor = mel.clamp(min=1e-10).log10().clamp(min=GLOBAL_LOG_MEL_MAX - LOG_MEL_RANGE)
        return ((log_mel + 4.0) / 4.0).transpose(-1, -2)


def mel_filters() -> Tensor:
    """Triangles of equal area on the Slaney mel scale, 0 to 8000 Hz: [n_frequencies, n_mels], float32."""
    nyquist = torch.tensor([SAMPLE_RATE / 2], dtype=torch.float64)
    edges = _mel_to_hz(torch.linspace(0, _hz_to_mel(nyquist).item(), N_MELS + 2, dtype=torch.float64))  # [n_mels + 2]
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, N_FREQUENCIES, dtype=torch.float64)  # [n_frequencies]
    slopes = edges - frequencies[:, None]  # [n_frequencies, n_mels + 2]
    widths = edges.diff()  # [n_mels + 1]
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    areas = 2.0 / (edges[2:] - edges[:-2])
    return (torch.minimum(rising, falling).clamp(min=0) * areas).float()


def _hz_to_mel(hz: Tensor) -> Tensor:
    above = BREAK_HZ * MELS_PER_HZ + MELS_PER_E_FOLD * (hz.clamp(min=BREAK_HZ) / BREAK_HZ).log()
    return torch.where(hz < BREAK_HZ, hz * MELS_PER_HZ, above)


def _mel_to_hz(mel: Tensor) -> Tensor:
    above = BREAK_HZ * ((mel - BREAK_HZ * MELS_PER_HZ) / MELS_PER_E_FOLD).exp()
    return torch.where(mel < BREAK_HZ * MELS_PER_HZ, mel / MELS_PER_HZ, above)
