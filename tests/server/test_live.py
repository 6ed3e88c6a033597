"""Live sessions over real sockets: every sample is accounted for, whatever the client does."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
import websockets

from voxtral_streaming.server import connection

if TYPE_CHECKING:
    from tests.server.conftest import AccountingEngine, Connect, Eventually, Launch, Running, Sound


async def finals_of(connect: Any, server: Any, data: bytes, frame: int, **start: Any) -> list[str]:
    """The finals of one session that sends `data` in frames of so many bytes."""
    async with connect(server) as client:
        if start:
            await client.say("start", **start)
        await client.send(data, frame)
        await client.say("close")
        assert await client.hear_out() == 1000
    closed = client.messages[-1]
    assert closed["received_samples"] == closed["consumed_samples"] + closed["dropped_samples"]
    assert closed["dropped_samples"] == 0
    assert closed["utterances"] == len(client.finals)
    assert [message["seq"] for message in client.messages] == list(range(len(client.messages)))
    finals: list[str] = client.finals
    return finals


class TestSession:
    async def test_from_the_first_word_to_the_last(self, server: Running, connect: Connect, sound: Sound) -> None:
        async with connect(server) as client:
            session = await client.hear("session")
            await client.send(sound.utterances(0.8, 1.2), frame=3200)
            await client.say("close")
            assert await client.hear_out() == 1000
        assert session["engine"]["name"] == "accounting"
        kinds = [message["type"] for message in client.messages]
        assert kinds[:3] == ["session", "started", "speech_started"]
        assert kinds[-2:] == ["final", "closed"]
        assert kinds.count("partial") >= 2
        assert [message["utterance"] for message in client.said("final")] == [0, 1]
        assert client.messages[-1] | {"type": "closed", "received_samples": 80000} == client.messages[-1]

    async def test_every_sample_of_speech_is_heard_once(self, server: Running, connect: Connect, sound: Sound) -> None:
        finals = await finals_of(connect, server, sound.utterances(0.8, 1.2, 3.0), frame=1000)
        ranges = [(int(at), int(n)) for at, n, _ in (final.split() for final in finals)]
        starts = [16000, 16000 + 28800, 16000 + 28800 + 35200]  # each after a second of silence
        for (at, n), start, length in zip(ranges, starts, [0.8, 1.2, 3.0], strict=True):
            assert at <= start
            assert at + n >= start + length * 16000

    @pytest.mark.parametrize("frame", [1, 333, 1000, 4096, 65536, 960_000])
    async def test_frames_may_be_cut_anywhere(
        self, server: Running, connect: Connect, sound: Sound, frame: int
    ) -> None:
        audio = sound.utterances(0.8, 1.2, 0.5) if frame > 1 else sound.speech(0.5).tobytes()
        whole = await finals_of(connect, server, audio, len(audio))
        assert await finals_of(connect, server, audio, frame) == whole
        assert whole

    async def test_random_cuts_and_empty_frames(self, server: Running, connect: Connect, sound: Sound) -> None:
        audio = sound.utterances(0.8, 1.2)
        random = np.random.default_rng(1)
        async with connect(server) as client:
            rest = audio
            while rest:
                size = int(random.integers(0, 20_000))
                await client.send(rest[:size] or b"")
                await client.socket.send(b"")
                rest = rest[size:]
            await client.say("close")
            await client.hear_out()
        assert client.finals == await finals_of(connect, server, audio, len(audio))

    async def test_base64_is_the_same_as_binary(self, server: Running, connect: Connect, sound: Sound) -> None:
        audio = sound.utterances(0.8)
        async with connect(server) as client:
            for start in range(0, len(audio), 9999):
                await client.say("audio", audio=base64.b64encode(audio[start : start + 9999]).decode())
            await client.say("close")
            await client.hear_out()
        assert client.finals == await finals_of(connect, server, audio, len(audio))

    async def test_thirty_seconds_in_one_frame(self, server: Running, connect: Connect, sound: Sound) -> None:
        audio = sound.utterances(*[2.0] * 9)[: 30 * 32000]
        assert await finals_of(connect, server, audio, len(audio)) == await finals_of(connect, server, audio, 3200)

    @pytest.mark.parametrize(
        ("encoding", "rate", "channels"),
        [("pcm_s16le", 8000, 1), ("pcm_s16le", 48000, 2), ("pcm_f32le", 44100, 1), ("pcm_f32le", 16000, 8)],
    )
    async def test_any_layout_is_heard(
        self, server: Running, connect: Connect, encoding: str, rate: int, channels: int
    ) -> None:
        time_ = np.arange(rate * 2) / rate
        wave = np.where((time_ > 0.5) & (time_ < 1.2), 0.4 * np.sin(2 * np.pi * 440 * time_), 0.0)
        values = wave if encoding == "pcm_f32le" else wave * 32767
        audio = np.repeat(values, channels).astype("<f4" if encoding == "pcm_f32le" else "<i2").tobytes()
        start = {"audio": {"encoding": encoding, "sample_rate": rate, "channels": channels}}
        async with connect(server) as client:
            await client.say("start", **start)
            await client.send(audio, 10_001)
            await client.say("close")
            await client.hear_out()
        assert client.said("started")[0]["audio"] == start["audio"]
        assert abs(client.messages[-1]["received_samples"] - 32000) <= 1
        (final,) = client.said("final")
        assert final["start"] <= 0.52
        assert final["end"] >= 1.18

    async def test_options_reach_the_engine(
        self, launch: Launch, accounting: type[AccountingEngine], connect: Connect, sound: Sound
    ) -> None:
        server = launch(accounting())
        async with connect(server) as client:
            await client.say("start", language="fr", prompt="Ada", partials=False, words=False)
            await client.send(sound.utterances(0.5))
            await client.say("close")
            await client.hear_out()
        (options,) = server.engine.options
        assert (options.language, options.prompt, options.partials, options.words) == ("fr", "Ada", False, False)
        assert client.said("final")[0]["language"] == "fr"
        assert not client.said("partial")

    async def test_two_hundred_utterances(self, server: Running, connect: Connect, sound: Sound) -> None:
        part = np.concatenate([sound.speech(0.25), sound.silence(0.75)]).tobytes()
        finals = await finals_of(connect, server, part * 200, frame=64_000)
        assert len(finals) == 200

    async def test_sessions_do_not_mix(self, server: Running, connect: Connect, sound: Sound) -> None:
        audio = sound.utterances(0.8, 1.2)
        alone = await finals_of(connect, server, audio, len(audio))
        many = await asyncio.gather(*(finals_of(connect, server, audio, 1000 + n) for n in range(10)))
        assert many == [alone] * 10


class TestFlush:
    async def test_ends_the_utterance_and_is_answered_after_its_final(
        self, server: Running, connect: Connect, sound: Sound
    ) -> None:
        async with connect(server) as client:
            await client.send(sound.speech(1.0).tobytes())
            await client.say("flush", id="one")
            assert (await client.hear("flushed"))["id"] == "one"
            assert len(client.finals) == 1
            await client.say("close")
            await client.hear_out()
        assert len(client.finals) == 1

    async def test_with_nothing_open_is_answered_too(self, server: Running, connect: Connect, sound: Sound) -> None:
        async with connect(server) as client:
            await client.say("flush", id="before any audio")
            await client.say("flush")
            await client.send(sound.silence(0.5).tobytes())
            await client.say("flush", id="silence")
            await client.say("close")
            await client.hear_out()
        assert [message["id"] for message in client.said("flushed")] == ["before any audio", None, "silence"]
        assert client.finals == []

    async def test_comes_in_its_place_among_many_finals(
        self, launch: Launch, accounting: type[AccountingEngine], connect: Connect, sound: Sound
    ) -> None:
        server = launch(accounting(cost=0.05))
        async with connect(server) as client:
            await client.send(sound.utterances(0.5, 0.5, 0.5))
            await client.say("flush", id="a")
            await client.send(sound.utterances(0.5))
            await client.say("flush", id="b")
            await client.say("close")
            await client.hear_out()
        kinds = [message["type"] for message in client.messages if message["type"] in ("final", "flushed")]
        assert kinds == ["final", "final", "final", "flushed", "final", "flushed"]


class TestEnd:
    async def test_close_before_any_audio(self, server: Running, connect: Connect) -> None:
        async with connect(server) as client:
            await client.say("close")
            assert await client.hear_out() == 1000
        assert [message["type"] for message in client.messages] == ["session", "closed"]
        assert client.messages[-1]["received_samples"] == 0

    async def test_close_twice(self, server: Running, connect: Connect, sound: Sound) -> None:
        async with connect(server) as client:
            await client.send(sound.speech(0.5).tobytes())
            await client.say("close")
            await client.say("close")
            await client.send(b"1234")
            assert await client.hear_out() == 1000
        assert len(client.finals) == len(client.said("closed")) == 1

    async def test_client_closes_right_after_close(
        self,
        server: Running,
        connect: Connect,
        sound: Sound,
        caplog: pytest.LogCaptureFixture,
        eventually: Eventually,
    ) -> None:
        async with connect(server) as client:
            await client.send(sound.speech(0.5).tobytes())
            await client.say("close")
        await eventually(lambda: len(server.service.sessions) == 0)
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

    async def test_client_that_leaves_while_its_final_is_awaited_frees_the_place(
        self, launch: Launch, accounting: type[AccountingEngine], connect: Connect, sound: Sound, eventually: Eventually
    ) -> None:
        server = launch(accounting(cost=60))
        async with connect(server) as client:
            await client.send(sound.utterances(0.8))
            await client.say("close")
            await client.hear("speech_started")
        await eventually(lambda: len(server.service.sessions) == 0)

    async def test_lost_connection_frees_the_place(
        self,
        launch: Launch,
        accounting: type[AccountingEngine],
        connect: Connect,
        sound: Sound,
        caplog: pytest.LogCaptureFixture,
        eventually: Eventually,
    ) -> None:
        server = launch(accounting(cost=5.0))
        async with connect(server) as client:
            await client.send(sound.utterances(0.8))
            await client.hear("speech_started")
            assert len(server.service.sessions) == 1
            client.socket.transport.abort()
            await eventually(lambda: len(server.service.sessions) == 0)
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

    async def test_idle_session_gets_its_finals_and_is_closed(
        self, launch: Launch, connect: Connect, sound: Sound
    ) -> None:
        server = launch(server={"idle_timeout_s": 0.3})
        async with connect(server) as client:
            await client.send(sound.speech(0.5).tobytes())
            assert await client.hear_out() == 4408
        assert client.error["code"] == "idle_timeout"
        assert len(client.finals) == 1

    async def test_keepalive_keeps_alive(self, launch: Launch, connect: Connect) -> None:
        server = launch(server={"idle_timeout_s": 0.4})
        async with connect(server) as client:
            for _ in range(4):
                await asyncio.sleep(0.2)
                await client.say("keepalive")
            assert await client.hear_out() == 4408

    async def test_silent_engine_does_not_make_the_client_idle(
        self, launch: Launch, accounting: type[AccountingEngine], connect: Connect, sound: Sound
    ) -> None:
        server = launch(accounting(cost=1.0), server={"idle_timeout_s": 0.3})
        async with connect(server) as client:
            await client.send(sound.utterances(0.5))
            await client.say("close")
            assert await client.hear_out() == 1000
        assert len(client.finals) == 1


class TestRefusal:
    @pytest.mark.parametrize(
        ("frame", "code", "param", "close_code"),
        [
            ("not JSON", "invalid_json", None, 1008),
            ("[" * (2**20 - 1), "invalid_json", None, 1008),
            ('{"type": "start", "audio": {"sample_rate": 1e999}}', "invalid_json", None, 1008),
            ('{"type": "start", "audio": {"sample_rate": 7999}}', "invalid_config", "audio.sample_rate", 1008),
            ('{"type": "start", "language": "xx"}', "invalid_config", "language", 1008),
            ('{"type": "dance"}', "protocol_error", "type", 1008),
            ('{"type": "audio", "audio": "*"}', "invalid_base64", "audio", 1008),
            ('{"type": "start", "language": "' + "e" * 65_505 + '"}', "message_too_large", None, 1009),
            (b"RIFF\xff\xff\xff\xffWAVEfmt ", "unsupported_media", "audio", 1003),
            (b"\x00\x00\x00\x20ftypM4A ", "unsupported_media", "audio", 1003),
            (b"OggS\x00\x02", "unsupported_media", "audio", 1003),
            (b"\x1a\x45\xdf\xa3", "unsupported_media", "audio", 1003),
        ],
    )
    async def test_malformed_message(
        self, server: Running, connect: Connect, frame: str | bytes, code: str, param: str | None, close_code: int
    ) -> None:
        async with connect(server) as client:
            await client.socket.send(frame)
            assert await client.hear_out() == close_code
        assert (client.error["code"], client.error["param"]) == (code, param)
        assert client.socket.close_reason == code

    async def test_file_is_recognised_when_it_comes_byte_by_byte(self, server: Running, connect: Connect) -> None:
        async with connect(server) as client:
            await client.send(b"OggS", frame=1)
            assert await client.hear_out() == 1003

    async def test_second_start(self, server: Running, connect: Connect, sound: Sound) -> None:
        async with connect(server) as client:
            await client.say("start")
            await client.send(sound.speech(0.5).tobytes())
            await client.say("start")
            assert await client.hear_out() == 1008
        assert client.error["code"] == "protocol_error"

    async def test_one_session_too_many(
        self, launch: Launch, connect: Connect, sound: Sound, eventually: Eventually
    ) -> None:
        server = launch(server={"max_sessions": 2})
        async with connect(server) as first, connect(server) as second:
            await first.hear("session")
            await second.hear("session")
            async with connect(server) as third:
                assert await third.hear_out() == 4429
            assert third.error["code"] == "too_many_sessions"
            assert third.error["retry_after_s"] > 0
            await second.say("close")
            await second.hear_out()
            await eventually(lambda: len(server.service.sessions) == 1)
            async with connect(server) as fourth:
                await fourth.hear("session")
            await first.send(sound.utterances(0.5))
            await first.say("close")
            assert await first.hear_out() == 1000
        assert len(first.finals) == 1

    @pytest.mark.parametrize("error", [RuntimeError("a bug, at /secret/place")])
    async def test_failure_of_ours(
        self,
        launch: Launch,
        accounting: type[AccountingEngine],
        connect: Connect,
        sound: Sound,
        caplog: pytest.LogCaptureFixture,
        error: Exception,
    ) -> None:
        async with connect(launch(accounting(ails=error))) as client:
            await client.send(sound.utterances(0.5))
            assert await client.hear_out() == 1011
        assert client.error["code"] == "internal"
        assert "secret" not in client.error["message"]
        assert "a live session failed" in caplog.text

    async def test_failure_of_the_engine(
        self, launch: Launch, accounting: type[AccountingEngine], connect: Connect, sound: Sound
    ) -> None:
        from voxtral_streaming.errors import EngineFailed

        async with connect(launch(accounting(ails=EngineFailed("at /secret/place")))) as client:
            await client.send(sound.utterances(0.5))
            assert await client.hear_out() == 1011
        assert client.error == {"code": "engine_failed", "message": "recognition failed", "param": None}


class TestSamples:
    async def test_what_is_no_number_is_mended_and_counted(
        self, server: Running, connect: Connect, sound: Sound
    ) -> None:
        clean = np.frombuffer(sound.utterances(0.8, 1.2), "<i2").astype("<f4") / 32768
        dirty = clean.copy()
        dirty[[10, 20, 30]] = [np.nan, np.inf, 1e38]
        start = {"audio": {"encoding": "pcm_f32le"}}
        async with connect(server) as client:
            await client.say("start", **start)
            await client.send(dirty.tobytes(), 1000)
            await client.say("close")
            await client.hear_out()
        (warning,) = client.said("warning")
        assert (warning["code"], warning["param"]) == ("samples_sanitized", "audio")
        assert client.messages[-1]["sanitized_samples"] == 3
        assert client.finals[-1:] == (await finals_of(connect, server, clean.tobytes(), 1000, **start))[-1:]

    async def test_half_a_sample_at_the_end_is_no_sample(self, server: Running, connect: Connect) -> None:
        async with connect(server) as client:
            await client.send(b"\x00" * 1001)
            await client.say("close")
            await client.hear_out()
        assert client.messages[-1]["received_samples"] == 500


class TestPressure:
    async def test_fast_client_waits_for_a_slow_engine_and_loses_nothing(
        self, launch: Launch, accounting: type[AccountingEngine], connect: Connect, sound: Sound
    ) -> None:
        server = launch(accounting(cost=0.01), streaming={"max_backlog_s": 1.0})
        audio = sound.utterances(*[1.5] * 40)
        finals = await finals_of(connect, server, audio, frame=32_000, partials=False)
        assert len(finals) == 40

    async def test_who_sends_faster_than_anybody_speaks_lets_others_go_first(
        self, launch: Launch, accounting: type[AccountingEngine], connect: Connect, sound: Sound
    ) -> None:
        server = launch(accounting())
        await finals_of(connect, server, sound.utterances(*[1.5] * 40), frame=32_000, partials=False)
        ahead = [options.is_ahead for options in server.engine.options]
        assert not ahead[0]
        assert ahead[-1]

    async def test_reading_stops_at_the_backlog(
        self, launch: Launch, accounting: type[AccountingEngine], connect: Connect, sound: Sound
    ) -> None:
        server = launch(accounting(), streaming={"max_backlog_s": 1.0})
        server.call(server.engine.resumed.clear)
        metric = server.service.metrics.audio_seconds.labels("live")
        async with connect(server) as client:
            sending = asyncio.create_task(client.send(sound.utterances(*[1.5] * 400), frame=32_000))
            await asyncio.sleep(0.5)
            taken = metric._value.get()
            await asyncio.sleep(0.3)
            assert metric._value.get() == taken  # it has come to rest
            assert taken < 10
            assert not sending.done()
            server.call(server.engine.resumed.set)
            await client.hear("final")
            sending.cancel()
            client.socket.transport.abort()

    async def test_client_that_does_not_read_is_closed(
        self,
        launch: Launch,
        accounting: type[AccountingEngine],
        connect: Connect,
        sound: Sound,
        monkeypatch: pytest.MonkeyPatch,
        eventually: Eventually,
    ) -> None:
        monkeypatch.setattr(connection, "SEND_TIMEOUT_S", 0.5)
        server = launch(accounting(padding="x" * 500_000))
        part = np.concatenate([sound.speech(0.2), sound.silence(0.8)]).tobytes()
        async with connect(server, max_queue=1, max_size=None) as client:
            await client.hear("session")
            client.socket.transport.pause_reading()
            sending = asyncio.create_task(client.send(part * 200, frame=32_000))
            await eventually(lambda: len(server.service.sessions) == 1)
            for _ in range(50):
                await asyncio.sleep(0.1)
                if len(server.service.sessions) == 0:
                    break
            assert len(server.service.sessions) == 0
            errors = server.service.metrics.errors.labels("slow_consumer")
            assert errors._value.get() == 1
            sending.cancel()
            client.socket.transport.abort()

    async def test_event_loop_stays_free(
        self, launch: Launch, accounting: type[AccountingEngine], connect: Connect, sound: Sound
    ) -> None:
        server = launch(accounting())
        async with httpx.AsyncClient(verify=False, base_url=f"http://{server.host}") as http, connect(server) as client:
            turns = server.time_turns()
            sending = asyncio.create_task(client.send(sound.utterances(*[2.0] * 30), frame=960_000))
            while not sending.done():
                assert (await http.get("/health/live")).status_code == 200
            await sending
            await client.say("close")
            await client.hear_out()
            assert max(turns) < 0.1
        assert len(client.finals) == 30


class TestStop:
    async def test_everyone_gets_his_finals(
        self, launch: Launch, accounting: type[AccountingEngine], connect: Connect, sound: Sound
    ) -> None:
        server = launch(accounting(cost=0.1))
        async with connect(server) as speaking, connect(server) as silent, httpx.AsyncClient(verify=False) as http:
            await speaking.send(sound.utterances(0.8) + sound.speech(1.0).tobytes())
            await speaking.hear("final")
            await silent.hear("session")
            server.call(server.server.stop)
            ready = await http.get(f"http://{server.host}/health/ready")
            assert ready.status_code == 503
            async with connect(server) as late:
                assert await late.hear_out() == 1001
            assert late.error["code"] == "stopping"
            assert await speaking.hear_out() == 1001
            assert await silent.hear_out() == 1001
        assert len(speaking.finals) == 2
        assert speaking.said("warning")[0]["code"] == "stopping"
        assert speaking.messages[-1]["received_samples"] == speaking.messages[-1]["consumed_samples"] == 44800 + 16000
        assert silent.messages[-1]["type"] == "closed"


class TestHandshake:
    async def test_no_compression(self, server: Running, connect: Connect) -> None:
        async with connect(server, compression="deflate") as client:
            assert client.socket.response is not None
            assert "Sec-WebSocket-Extensions" not in client.socket.response.headers
            await client.say("close")
            assert await client.hear_out() == 1000

    async def test_subprotocol_is_chosen_only_where_offered(self, server: Running, connect: Connect) -> None:
        async with connect(server, subprotocols=["other", "voxtral"]) as client:
            assert client.socket.subprotocol == "voxtral"
        async with connect(server) as client:
            assert client.socket.subprotocol is None

    async def test_unknown_path(self, server: Running) -> None:
        with pytest.raises(websockets.InvalidStatus) as caught:
            await websockets.connect(f"ws://{server.host}/nowhere").__aenter__()
        assert caught.value.response.status_code in (403, 404)
