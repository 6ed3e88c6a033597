"""The decoder process: it forks a confined child for every job, and kills it when its reader goes away.

It is started once, with the codecs loaded, and has one thread: so a fork is safe and takes a few
milliseconds. Three descriptors come with a job: the file, the socket to the reader, and the end of a
pipe that the reader holds open as long as it is interested (the lifeline).
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import wave
from io import BytesIO
from typing import BinaryIO

import av
import av.subtitles.codeccontext  # PyAV imports it on demand, which a confined child cannot

from voxtral_streaming.audio.decoder.confine import confine
from voxtral_streaming.audio.decoder.recording import Recording
from voxtral_streaming.audio.decoder.wire import (
    HEADER,
    START,
    Done,
    Job,
    Opened,
    Refused,
    decode,
    encode,
    encode_block,
    header,
)
from voxtral_streaming.errors import AudioError, CorruptAudio

CONTROL = 0  # the descriptor on which jobs arrive
N_DESCRIPTORS = 3


def main() -> None:
    """Serve jobs until the process that started this one says so or is gone."""
    av.logging.set_level(None)
    warm_up()
    gc.freeze()  # keeps the pages that the children share from being written to
    with socket.socket(fileno=CONTROL) as control:
        serve(control)


def warm_up() -> None:
    """Decode a hundredth of a second, so that whatever is imported on demand is there before a fork."""
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 2, 8000, 80, "NONE", ""))  # stereo, 16 bits
        writer.writeframes(bytes(80 * 2 * 2))
    recording = Recording(file, max_seconds=1.0)
    for _ in recording.blocks():
        pass
    recording.close()


def serve(control: socket.socket) -> None:
    """Fork children and watch over them; on return none is left."""
    children: dict[int, int] = {}  # lifeline → process id
    watch = select.poll()
    watch.register(control, select.POLLIN)
    while True:
        for descriptor, _ in watch.poll():
            if descriptor != CONTROL:
                watch.unregister(descriptor)
                kill(children.pop(descriptor), descriptor)
            elif (received := receive_job(control)) is None:
                return end(children)
            else:
                file, reader, lifeline = received
                children[lifeline] = fork(file, reader, control, [lifeline, *children])
                watch.register(lifeline, select.POLLIN)


def receive_job(control: socket.socket) -> list[int] | None:
    """The descriptors of the next job; None when there will be no more."""
    byte, descriptors, _, _ = socket.recv_fds(control, 1, N_DESCRIPTORS)
    return descriptors if byte == START else None


def fork(file: int, reader: int, control: socket.socket, lifelines: list[int]) -> int:
    """Start the child of a job, which keeps `file` and `reader` and nothing else; its process id."""
    pid = os.fork()
    if pid == 0:
        control.close()
        for lifeline in lifelines:
            os.close(lifeline)
        run(file, reader)
        os._exit(0)
    os.close(file)
    os.close(reader)
    return pid


def kill(pid: int, lifeline: int) -> None:
    """End a child, whether it is done or not. It is waited for only here, so its id is still its own."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(lifeline)


def end(children: dict[int, int]) -> None:
    """End all children."""
    for lifeline, pid in children.items():
        kill(pid, lifeline)


def run(file: int, reader: int) -> None:
    """Do a job, in the child. A bug ends it with a traceback, and the reader sees the socket close."""
    with socket.socket(fileno=reader) as connection, open(file, "rb", buffering=0) as recording:
        job = receive(connection)
        confine(job.cpu_seconds, job.memory_bytes)
        try:
            send_all(connection, recording, job)
        except AudioError as error:
            refuse(connection, error)
        except MemoryError:
            refuse(connection, CorruptAudio("the audio takes more memory than a decoder may have"))


def send_all(connection: socket.socket, file: BinaryIO, job: Job) -> None:
    """Decode, waiting whenever the reader is slower."""
    recording = Recording(file, job.max_seconds)
    connection.sendall(encode(Opened(recording.duration)))
    for block in recording.blocks():
        connection.sendall(encode_block(block))
    connection.sendall(encode(Done(recording.sanitized, recording.damaged)))


def refuse(connection: socket.socket, error: AudioError) -> None:
    """Tell the reader why there is nothing more."""
    connection.sendall(encode(Refused(error.code, error.message)))


def receive(connection: socket.socket) -> Job:
    """The job that the reader sends."""
    with connection.makefile("rb") as stream:
        kind, length = header(stream.read(HEADER.size))
        job = decode(kind, stream.read(length))
    if not isinstance(job, Job):
        raise ValueError(f"{kind.name} is not a job")
    return job
