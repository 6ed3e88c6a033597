"""Whisper's log-mel front end: the samples of a whole recording to the mel frames of its windows.

Unlike the front end of Voxtral Realtime it lets nothing be more than 8 (80 dB) below the loudest sound of the
recording, so its frames depend on the whole of it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.engines.voxtral.facts import HOP, N_MELS, WINDOW
from voxtral_streaming.engines.voxtral.mel import LOG_MEL_RANGE, mel_filters
from voxtral_streaming.engines.voxtral_offline.facts import OfflineFacts


@torch.inference_mode()
def log_mel(samples: Samples, facts: OfflineFacts) -> Tensor:
    """Samples [n_samples] to the frames of the windows that hold them, [n_windows, n_mels, n_mel_frames], on the CPU.

    The last window is filled up with silence. A frame is 400 samples centred on a multiple of 160, under a Hann
    window; 128 Slaney mel bands, log10.
    """
    n_windows = facts.n_windows(len(samples))
    whole = pad(torch.from_numpy(samples), (0, n_windows * facts.encoder.n_samples - len(samples)))
    spectrum = torch.stft(whole, WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True)
    power = (spectrum[:, :-1].abs() ** 2).contiguous()  # [n_frequencies, n_frames]
    log = (mel_filters().T @ power).clamp(min=1e-10).log10()  # [n_mels, n_frames]
    log = torch.maximum(log, log.max() - LOG_MEL_RANGE)
    windows = ((log + 4.0) / 4.0).view(N_MELS, n_windows, facts.encoder.n_mel_frames)
    return windows.transpose(0, 1).contiguous()
