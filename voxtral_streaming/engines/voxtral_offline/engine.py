"""Voxtral Mini 3B and Small 24B as an engine of the package."""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial

import torch

from voxtral_streaming.audio.units import samples_from_ms
from voxtral_streaming.config import ModelConfig, StreamingConfig
from voxtral_streaming.engines.base import Capabilities, Stream, StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.engines.voxtral.device import choose_device
from voxtral_streaming.engines.voxtral.files import locate
from voxtral_streaming.engines.voxtral.kernels import accelerate
from voxtral_streaming.engines.voxtral.placing import limit_bytes, place
from voxtral_streaming.engines.voxtral_offline.batch import Batch, Sizes
from voxtral_streaming.engines.voxtral_offline.checkpoint import Checkpoint, load_model, open_checkpoint
from voxtral_streaming.engines.voxtral_offline.conversation import Conversation
from voxtral_streaming.engines.voxtral_offline.plan import longest_question_s, longest_utterance_s, plan, weight_bytes
from voxtral_streaming.engines.voxtral_offline.stream import VoxtralStream
from voxtral_streaming.engines.voxtral_offline.worker import Request, Stopped, Worker
from voxtral_streaming.errors import EngineFailed, EngineUnavailable

log = logging.getLogger(__name__)

LANGUAGES = ("de", "en", "es", "fr", "hi", "it", "nl", "pt")  # that the models are published for


class VoxtralEngine:
    """Implements `Engine`."""

    def __init__(self, model: ModelConfig, streaming: StreamingConfig) -> None:
        self._config = model
        self._longest_s = streaming.max_utterance_s
        self._checkpoint: Checkpoint | None = None
        self._sizes = Sizes(0, 0)
        self._worker: Worker | None = None
        self._thread: threading.Thread | None = None
        self._streams: set[Stream] = set()
        self.partial_interval = samples_from_ms(streaming.partial_interval_ms)

    @property
    def capabilities(self) -> Capabilities:
        """What the loaded model can do; known once the engine is started. It does not say which language it heard."""
        facts = self.checkpoint.facts
        return Capabilities(
            name="voxtral",
            model=self._config.name,
            partials=True,
            timestamps="none",
            languages=LANGUAGES,
            detects_language=True,
            max_utterance_s=max(self._longest_s, longest_utterance_s(facts, self.context)),
            tells_language=False,
            converses_s=longest_question_s(facts, self.context),
        )

    @property
    def checkpoint(self) -> Checkpoint:
        """The model that runs."""
        if self._checkpoint is None:
            raise EngineFailed("the engine has not been started")
        return self._checkpoint

    @property
    def context(self) -> int:
        """Tokens of a prompt and its answer together, at most."""
        return self._sizes.context

    async def start(self) -> None:
        """Read and load the weights, and start the engine thread. Raises `WeightsError`, `EngineUnavailable`."""
        batch = await asyncio.to_thread(self._load)
        self._worker = Worker(batch, self.checkpoint.tokenizer.special.eos, self._config.attention)
        self._thread = threading.Thread(target=self._worker.run, name="voxtral", daemon=True)
        self._thread.start()

    def _load(self) -> Batch:
        config, device = self._config, choose_device(self._config.device)
        if not config.use_cache:
            raise EngineUnavailable("model.use_cache is false: every token would read the whole prompt anew")
        dtype: torch.dtype = getattr(torch, config.torch_dtype)
        checkpoint = open_checkpoint(locate(config.name, config.revision))
        self._sizes = plan(
            checkpoint.facts,
            itemsize=dtype.itemsize,
            weight_bytes=weight_bytes(checkpoint.facts, dtype.itemsize, int8=config.voxtral_int8),
            limit_bytes=limit_bytes(config, device),
            longest_s=self._longest_s,
        )
        log.info("%s: %d requests at once, %d tokens each", config.name, *self._sizes)
        model = place(partial(load_model, checkpoint), config, device)
        checkpoint.tokenizer.encode("")  # reads the vocabulary now, and not before the first request
        batch = Batch(model, self._sizes, checkpoint.tokenizer.special.audio)
        if config.use_torch_compile and device.type == "cuda":  # packed weights are what helps a CPU
            log.info("the step was %s", accelerate(batch))
        self._checkpoint = checkpoint
        return batch

    def open(self, options: StreamOptions, at: int) -> Stream:
        """Open a stream for an utterance, or for a recording that is asked about."""
        check_options(options, self.capabilities)
        stream: Stream = Conversation(self, options) if options.conversation else VoxtralStream(self, options)
        self._streams.add(stream)
        return stream

    def submit(self, request: Request) -> None:
        """Have a request answered; its future answers."""
        if self._worker is None:
            raise EngineFailed("the engine has not been started")
        self._worker.inbox.put(request)

    def closed(self, stream: Stream) -> None:
        """A stream was closed."""
        self._streams.discard(stream)

    async def close(self) -> None:
        """Give up open streams, and let the thread end."""
        for stream in list(self._streams):
            stream.close()
        if self._worker is not None and self._thread is not None:
            self._worker.inbox.put(Stopped())
            await asyncio.to_thread(self._thread.join)
