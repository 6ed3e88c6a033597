"""The built-in engine: a few threads that serve the streams of all sessions from one queue."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

from threadpoolctl import threadpool_limits

from voxtral_streaming.audio.units import samples_from_ms, seconds
from voxtral_streaming.config import ModelConfig, StreamingConfig
from voxtral_streaming.engines.base import Capabilities, StreamOptions
from voxtral_streaming.engines.options import check_options
from voxtral_streaming.engines.whisper.drafts import Drafts
from voxtral_streaming.engines.whisper.jobs import Completion, InVain, Recognition
from voxtral_streaming.engines.whisper.model import Whisper
from voxtral_streaming.engines.whisper.recognition import Result, finalised, recognise_batch
from voxtral_streaming.engines.whisper.scheduler import Kind, Scheduler, partial_interval, rank
from voxtral_streaming.engines.whisper.stream import WhisperStream
from voxtral_streaming.engines.whisper.texts import Breath
from voxtral_streaming.engines.whisper.weights import model_folder
from voxtral_streaming.engines.whisper.windows import MOST
from voxtral_streaming.errors import EngineFailed
from voxtral_streaming.memory import give_back
from voxtral_streaming.transcript import Word

log = logging.getLogger(__name__)

MAX_BATCH = 4  # windows decoded together: beyond it a step costs nearly in proportion
MAX_BATCH_FRAMES = 6400  # of memories decoded together: the decoder keeps 12 kB for each (base)
QUIET_S = 10.0  # without work, after which the memory that the last work took goes back to the system
BUSY_S = 3.0  # the same, with work: it costs 5 to 15 ms, and gaps between what is in use would grow all the time
FIRST_COST_S = 0.1  # what a partial costs a worker, until one was measured
COST_MEMORY = 0.95  # weight of the past in the running mean of that cost


def load_whisper(config: ModelConfig) -> Whisper:
    """Check the weights and load them."""
    with model_folder(config.name, config.revision) as folder:
        return Whisper(folder, config)


class WhisperEngine:
    """Implements `Engine`."""

    def __init__(
        self, model: ModelConfig, streaming: StreamingConfig, *, load: Callable[[ModelConfig], Whisper] = load_whisper
    ) -> None:
        self._config = model
        self._load = load
        self._shortest_interval = samples_from_ms(streaming.partial_interval_ms)
        self._scheduler: Scheduler[Recognition | Completion] = Scheduler()
        self._changed = threading.Condition()
        self._n_idle = 0  # threads that wait for work
        self._recording: set[int] = set()  # threads that are at recordings
        self._is_closed = False
        self._threads: list[threading.Thread] = []
        self._streams: set[WhisperStream] = set()
        self._n_spoken = 0  # of them, those to whom somebody speaks now
        self._cost_s = FIRST_COST_S
        self._model: Whisper | None = None
        self._given_back = 0.0  # when memory last went back to the system
        self._blas: threadpool_limits | None = None  # what holds numpy to one thread

    @property
    def capabilities(self) -> Capabilities:
        """What the loaded model can do; known once the engine is started."""
        model = self._loaded()
        return Capabilities(
            name="whisper",
            model=self._config.name,
            partials=True,
            timestamps="word",
            languages=model.languages,
            detects_language=model.is_multilingual,
            max_utterance_s=seconds(MOST),
            hears_together=True,
        )

    async def start(self) -> None:
        """Check and load the weights, and start the threads. Raises `WeightsError`, `EngineUnavailable`.

        Until `close`, numpy's matrix products take one thread in the whole process: its idle helpers spin for a
        tenth of a second behind each spectrogram, on the core of another engine thread.
        """
        self._model = await asyncio.to_thread(self._load, self._config)
        give_back()
        self._blas = threadpool_limits(1, user_api="blas")
        self._is_closed = False
        for n in range(self._config.workers):
            thread = threading.Thread(target=self._work, name=f"whisper-{n}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _loaded(self) -> Whisper:
        if self._model is None:
            raise EngineFailed("the engine has not been started")
        return self._model

    def open(self, options: StreamOptions, at: int) -> WhisperStream:
        """Open a stream for an utterance that begins at sample `at`."""
        check_options(options, self.capabilities)
        stream = WhisperStream(self, options, at)
        self._streams.add(stream)
        self._n_spoken += options.is_spoken
        return stream

    async def close(self) -> None:
        """Give up what waits, and let the threads end."""
        for stream in list(self._streams):
            stream.close()
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in self._threads))
        self._threads.clear()
        if self._blas is not None:
            self._blas.restore_original_limits()

    def no_drafts(self) -> Drafts:
        """What a new stream has heard."""
        return Drafts(self._loaded().first_time)

    def closed(self, stream: WhisperStream) -> None:
        """A stream was closed."""
        if stream in self._streams:
            self._streams.remove(stream)
            self._n_spoken -= stream.is_spoken
            if not self._n_spoken:
                self.wake()  # recordings may have the thread that was left to who speaks

    @property
    def is_busy(self) -> bool:
        """Whether partials must be rarer than the configuration allows."""
        return self.partial_interval() > self._shortest_interval

    @property
    def has_time_to_spare(self) -> bool:
        """Whether each stream can have two workers: it need not wait to see whether a lull is the end."""
        return 2 * self._n_spoken <= self._config.workers

    def partial_interval(self, *, is_first: bool = False) -> int:
        """Samples of new audio between two partials of a stream at most, at the load of this moment."""
        n_workers = self._config.workers
        return partial_interval(self._shortest_interval, self._n_spoken, self._cost_s, n_workers, is_first=is_first)

    def wake(self) -> None:
        """Let a thread look again at what waits."""
        with self._changed:
            self._changed.notify()

    def submit(self, job: Recognition | Completion) -> None:
        """Queue a job; its future answers."""
        with self._changed:
            self._scheduler.add(job)
            self._changed.notify()

    def _work(self) -> None:
        """The life of an engine thread."""
        while batch := self._next_batch():
            self._carry_out(batch)
            del batch  # while the thread waits: jobs hold megabytes
            now = time.monotonic()
            if now - self._given_back > BUSY_S:
                self._given_back = now
                give_back()

    def _carry_out(self, batch: list[Recognition | Completion]) -> None:
        jobs = [job for job in batch if job.future.set_running_or_notify_cancel()]
        try:
            self._run(jobs)
        except InVain:
            for job in jobs:
                job.future.set_exception(InVain())  # another one: this one knows all that was being done
        except Exception as error:  # whoever awaits the jobs hears it; the thread serves the others
            log.exception("recognition failed")
            for job in jobs:
                job.future.set_exception(EngineFailed(f"recognition failed: {error}"))

    def _next_batch(self) -> list[Recognition | Completion]:
        """The jobs to run now; empty when the engine was closed."""
        thread = threading.get_ident()
        with self._changed:
            self._recording.discard(thread)
            while not self._is_closed:
                self._scheduler.drop(lambda job: job.future.cancelled())
                if batch := self._scheduler.take(self._most, _fits, self._before):
                    if batch[0].kind is Kind.RECORDED:
                        self._recording.add(thread)
                    return batch
                self._n_idle += 1
                is_quiet = not self._changed.wait(QUIET_S)
                self._n_idle -= 1
                if is_quiet:
                    give_back()
            return []

    @property
    def _before(self) -> int:
        """What is next must rank before this: where live audio is open, one thread is left to it.

        A window of a recording is encoded in one go, and a final would wait for that.
        """
        is_spared = self._n_spoken > 0 and len(self._recording) >= max(1, self._config.workers - 1)
        return Kind.RECORDED if is_spared else len(Kind)

    def _most(self, first: Recognition | Completion) -> int:
        """How many jobs may share a batch with `first`, itself included."""
        is_alone = first.kind is not Kind.RECORDED and not self._loaded().gains_by_company
        if is_alone or isinstance(first, Completion):
            return 1
        return max(1, min(MAX_BATCH, MAX_BATCH_FRAMES // first.memory))

    def _breathing(self, jobs: Sequence[Recognition | Completion], elsewhere_s: list[float] | None = None) -> Breath:
        """What is done between two steps of these jobs; how long it took is put into the list.

        It raises `InVain` once nobody waits for any of them.
        """

        def breathe() -> None:
            while not all(job.is_in_vain for job in jobs):
                if not (batch := self._more_urgent(jobs)):
                    return
                left = time.monotonic()
                self._carry_out(batch)
                if elsewhere_s is not None:
                    elsewhere_s.append(time.monotonic() - left)
            raise InVain

        return breathe

    def _more_urgent(self, jobs: Sequence[Recognition | Completion]) -> list[Recognition | Completion]:
        """What to run before these jobs go on: what ranks higher, if no thread is free for it."""
        with self._changed:
            return [] if self._n_idle else self._scheduler.take(self._most, _fits, min(rank(job) for job in jobs))

    def _run(self, batch: list[Recognition | Completion]) -> None:
        """Run jobs that fit together: recognitions, or one completion."""
        model = self._loaded()
        self._recognise(model, [job for job in batch if isinstance(job, Recognition)])
        for job in batch:
            if isinstance(job, Completion):
                job.future.set_result(self._complete(model, job))

    def _complete(self, model: Whisper, job: Completion) -> tuple[Result, list[Word]]:
        breathe = self._breathing([job])
        try:
            breathe()
            result = finalised(model, job.result, breathe)
        except InVain:
            return job.result, []
        words = model.align(result.encoded, result.decoded) if job.wants_words else []
        return result, words[result.n_known :]

    def _recognise(self, model: Whisper, jobs: list[Recognition]) -> None:
        if not jobs:
            return
        started, elsewhere_s = time.monotonic(), list[float]()
        requests = [job.request() for job in jobs]
        for job, result in zip(jobs, recognise_batch(model, requests, self._breathing(jobs, elsewhere_s)), strict=True):
            job.future.set_result(result)
        if jobs[0].kind is Kind.PARTIAL:
            cost_s = (time.monotonic() - started - sum(elsewhere_s)) / len(jobs)
            past: float = COST_MEMORY ** len(jobs)
            self._cost_s = past * self._cost_s + (1 - past) * cost_s


def _fits(first: Recognition | Completion, other: Recognition | Completion) -> bool:
    """Whether two jobs may share a batch: where the first fits, what has no longer memory does.

    Two of one stream do not: the text that is wanted at once would come as late as the whole that is not.
    """
    if isinstance(first, Completion) or isinstance(other, Completion):
        return False
    return other.memory <= first.memory and other.stream is not first.stream
