"""Voxtral Realtime as an engine of the package."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future
from functools import partial

import torch

from voxtral_streaming.audio.units import Samples
from voxtral_streaming.config import ModelConfig, StreamingConfig
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.engines.voxtral.checkpoint import load_model
from voxtral_streaming.engines.voxtral.device import choose_device
from voxtral_streaming.engines.voxtral.files import Checkpoint, locate, open_checkpoint
from voxtral_streaming.engines.voxtral.kernels import accelerate
from voxtral_streaming.engines.voxtral.placing import limit_bytes, place
from voxtral_streaming.engines.voxtral.plan import plan, weight_bytes
from voxtral_streaming.engines.voxtral.stepper import Sizes, Stepper
from voxtral_streaming.engines.voxtral.tekken import DELAYS_MS, delay_tokens
from voxtral_streaming.engines.voxtral.transcription import Kind, Request
from voxtral_streaming.engines.voxtral.worker import Asked, Closed, Fed, Opened, Stopped, Voice, Worker
from voxtral_streaming.errors import EngineFailed, EngineUnavailable
from voxtral_streaming.transcript import Hypothesis

log = logging.getLogger(__name__)

LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "ko", "nl", "pt", "ru", "zh")
ENDLESS_S = 86_400.0  # where the decoder's whole window fits, no utterance is too long


class VoxtralRealtimeEngine:
    """Implements `Engine`."""

    def __init__(self, model: ModelConfig, streaming: StreamingConfig) -> None:
        self._config = model
        self._longest_s = streaming.max_utterance_s
        self._checkpoint: Checkpoint | None = None
        self._sizes = Sizes(0, 0)
        self._worker: Worker | None = None
        self._thread: threading.Thread | None = None
        self._streams: set[RealtimeStream] = set()

    @property
    def capabilities(self) -> Capabilities:
        """What the loaded model can do; known once the engine is started.

        The model finds out which language is spoken, and neither says it nor can be told; a language that is asked
        for is only checked.
        """
        checkpoint, _ = self._started()
        is_whole = self._sizes.window >= checkpoint.facts.decoder.window
        return Capabilities(
            name="voxtral_realtime",
            model=self._config.name,
            partials=True,
            timestamps="segment",
            languages=LANGUAGES,
            detects_language=True,
            delay_ms=DELAYS_MS,
            max_utterance_s=ENDLESS_S if is_whole else self._longest_s,
            tells_language=False,
            max_streams=self._sizes.n_rows,
        )

    async def start(self) -> None:
        """Read and load the weights, and start the engine thread. Raises `WeightsError`, `EngineUnavailable`."""
        stepper = await asyncio.to_thread(self._load)
        self._worker = Worker(stepper, self._config.attention)
        self._thread = threading.Thread(target=self._worker.run, name="voxtral-realtime", daemon=True)
        self._thread.start()

    def _load(self) -> Stepper:
        config, device = self._config, choose_device(self._config.device)
        if not config.use_cache:
            raise EngineUnavailable("model.use_cache is false, and a streaming model is nothing without its caches")
        dtype: torch.dtype = getattr(torch, config.torch_dtype)
        checkpoint = open_checkpoint(locate(config.name, config.revision))
        self._sizes = plan(
            checkpoint.facts,
            checkpoint.tekken,
            itemsize=dtype.itemsize,
            weight_bytes=weight_bytes(checkpoint.facts, dtype.itemsize, int8=config.voxtral_int8),
            limit_bytes=limit_bytes(config, device),
            longest_s=self._longest_s,
        )
        log.info("%s: %d streams at once, %d tokens each", config.name, *self._sizes)
        model = place(partial(load_model, checkpoint), config, device)
        stepper = Stepper(model, checkpoint.tekken, self._sizes)
        if config.use_torch_compile and device.type == "cuda":  # packed weights are what helps a CPU
            log.info("the step was %s", accelerate(stepper))
        stepper.join(0, delay_tokens(checkpoint.tekken.delay_ms))  # hears the silence before the first stream
        self._checkpoint = checkpoint
        return stepper

    def _started(self) -> tuple[Checkpoint, Worker]:
        if self._checkpoint is None or self._worker is None:
            raise EngineFailed("the engine has not been started")
        return self._checkpoint, self._worker

    def open(self, options: StreamOptions, at: int) -> RealtimeStream:
        """Open a stream; while all rows are taken it waits for one, and hears its audio then."""
        checkpoint, worker = self._started()
        check_options(options, self.capabilities)
        delay_ms = checkpoint.tekken.delay_ms if options.delay_ms is None else options.delay_ms
        voice = Voice(checkpoint.tekken, delay_tokens(delay_ms), at=at, words=options.words)
        stream = RealtimeStream(self._streams, worker, voice)
        self._streams.add(stream)
        return stream

    async def close(self) -> None:
        """Give up open streams, and let the thread end."""
        for stream in list(self._streams):
            stream.close()
        if self._worker is not None and self._thread is not None:
            self._worker.inbox.put(Stopped())
            await asyncio.to_thread(self._thread.join)


class RealtimeStream:
    """Implements `Stream`."""

    def __init__(self, siblings: set[RealtimeStream], worker: Worker, voice: Voice) -> None:
        self._siblings = siblings
        self._inbox = worker.inbox
        self._voice = voice
        self._answer: Future[Hypothesis] | None = None
        self._inbox.put(Opened(voice))

    def feed(self, samples: Samples) -> None:
        """Take the next samples; they are copied."""
        self._inbox.put(Fed(self._voice, samples.copy()))

    async def partial(self) -> Hypothesis:
        """The text, once there is more of it. None of it is ever taken back."""
        return await self._ask(Kind.PARTIAL)

    async def flush(self) -> Hypothesis:
        """The whole text. Its end is tentative: it was heard before a silence that may not be one."""
        return await self._ask(Kind.FLUSH)

    async def finish(self) -> Hypothesis:
        """The final text, with its words."""
        return await self._ask(Kind.FINISH)

    def close(self) -> None:
        """Free the stream's row."""
        if self in self._siblings:
            self._siblings.discard(self)
            self._inbox.put(Closed(self._voice))
        if self._answer is not None:
            self._answer.cancel()

    async def _ask(self, kind: Kind) -> Hypothesis:
        self._answer = Future()
        self._inbox.put(Asked(self._voice, Request(kind, self._answer)))
        return await asyncio.wrap_future(self._answer)
