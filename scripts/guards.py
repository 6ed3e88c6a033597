"""The guards of the package, how each is taken away, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass

SERVER = "voxtral_streaming/server"
AUDIO = "voxtral_streaming/audio"


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard: `old` stands once in `file`, and without the guard `new` would."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    is_quick: bool = False  # noticed within a second, so that `make test` takes it away every time


def _guard(name: str, file: str, old: str, new: str, *tests: str, quick: bool = False) -> Guard:
    return Guard(name, file, old, new, tests, quick)


AUTH, FILES, FETCH = "tests/server/test_auth.py", "tests/server/test_files.py", "tests/audio/test_fetch.py"
PROTOCOLS, MINTING = "tests/server/test_protocols.py", "tests/server/test_minting.py"
EVERY_PATH = f"{AUTH}::TestKeys::test_every_path_but_the_public_ones_asks_for_a_key"
STRANGERS_URLS = f"{FETCH}::test_what_a_stranger_may_not_fetch"

DOORS = (
    _guard(
        "websockets ask for a key",
        f"{SERVER}/auth.py",
        'if scope["type"] in ("http", "websocket") and',
        'if scope["type"] == "http" and',
        EVERY_PATH,
    ),
    _guard("keys", f"{SERVER}/auth.py", "elif self._hashes:", "elif False:", EVERY_PATH),
    _guard(
        "default deny",
        f"{SERVER}/auth.py",
        "return path in PUBLIC_PATHS or path.startswith(PUBLIC_FOLDER)",
        'return path in PUBLIC_PATHS or not path.startswith("/v1")',
        EVERY_PATH,
    ),
    _guard(
        "origin",
        f"{SERVER}/auth.py",
        "if origin is not None and origin not in",
        "if False and origin not in",
        f"{AUTH}::TestOrigin::test_foreign_pages_are_refused_even_with_a_key",
    ),
    _guard(
        "names that anyone can own",
        f"{SERVER}/auth.py",
        "return is_same and (bool(self._hashes) or self._is_ours_alone(origin))",
        "return is_same",
        f"{AUTH}::TestOrigin::test_name_that_anyone_can_own_is_no_proof",
    ),
    _guard(
        "wrong keys are counted",
        f"{SERVER}/auth.py",
        "self._wrong_keys.check(peer)",
        "pass",
        f"{AUTH}::TestGuessing::test_twenty_wrong_keys_a_minute_and_no_more",
    ),
    _guard(
        "new connections are counted",
        f"{SERVER}/auth.py",
        "self._starts.check(peer)",
        "pass",
        f"{AUTH}::test_so_many_websockets_a_minute_and_no_more",
    ),
    _guard(
        "tokens open only WebSockets",
        f"{SERVER}/auth.py",
        ' and scope["type"] == "websocket":\n            scope.setdefault',
        ":\n            scope.setdefault",
        f"{MINTING}::TestUse::test_it_mints_no_others",
    ),
    _guard(
        "tokens expire",
        f"{SERVER}/auth.py",
        "if token is not None and not token.is_expired and",
        "if token is not None and",
        f"{MINTING}::TestUse::test_it_expires",
    ),
    _guard(
        "tokens are signed",
        f"{SERVER}/tokens.py",
        "not hmac.compare_digest(self._mac(prefix, body), mac)",
        "len(mac) != N_MAC",
        "tests/server/test_tokens.py::test_a_token_of_another_process_is_none",
        quick=True,
    ),
    _guard(
        "strangers' X-Forwarded-For is ignored",
        f"{SERVER}/peers.py",
        "while claims and self._is_proxy(address) and",
        "while claims and",
        "tests/server/test_peers.py::test_strangers_are_not_believed",
        quick=True,
    ),
    _guard(
        "peers are forgotten",
        f"{SERVER}/throttle.py",
        "if len(self._windows) < self._max_peers and",
        "if",
        "tests/server/test_throttle.py::test_only_so_many_peers_are_remembered",
    ),
    _guard(
        "TLS 1.2",
        f"{SERVER}/tls.py",
        "context.minimum_version = ssl.TLSVersion.TLSv1_2",
        "context.minimum_version = ssl.TLSVersion.TLSv1",
        "tests/server/test_tls.py::TestFiles::test_a_pair",
    ),
    _guard(
        "only the client of a session comes back to it",
        f"{SERVER}/resuming.py",
        "if session is None or not hmac.compare_digest(token.encode(), asked.token.encode()):",
        "if session is None:",
        "tests/server/test_resume.py::TestRefusals::test_what_is_not_there_and_what_is_not_known_sound_the_same",
    ),
    _guard(
        "what a session keeps for its client",
        f"{SERVER}/history.py",
        "return len(self._frames) >= HISTORY_FRAMES or self._n_bytes >= HISTORY_BYTES",
        "return False",
        "tests/server/test_resume.py::TestBounds::test_client_that_does_not_read_may_come_back",
    ),
    _guard(
        "an unusable certificate changes nothing",
        f"{SERVER}/tls.py",
        "        self._read()  # a pair",
        "        pass  # a pair",
        "tests/server/test_tls.py::TestReload::test_what_is_of_no_use_changes_nothing",
    ),
    _guard(
        "no open doors beyond this machine",
        "voxtral_streaming/config/sections.py",
        "if not (is_loopback(self.host) or self.api_keys or self.insecure):",
        "if False:",
        "tests/config/test_load.py::test_beyond_loopback_needs_keys_or_a_word",
        quick=True,
    ),
)

BOUNDS = (
    _guard(
        "deadline of headers",
        f"{SERVER}/protocols.py",
        "self._headers_timer = self.loop.call_later(HEADER_TIMEOUT_S, self._give_up_headers)",
        "pass",
        f"{PROTOCOLS}::TestHeaders::test_slow_ones_are_given_up",
    ),
    _guard(
        "bodies that go on",
        f"{SERVER}/protocols.py",
        "if self.conn.their_state is h11.SEND_BODY:",
        "if False:",
        f"{PROTOCOLS}::TestBody::test_that_goes_on_after_its_answer_is_cut_off",
    ),
    _guard(
        "number of fragments",
        f"{SERVER}/protocols.py",
        "if len(self.frames) < MAX_FRAGMENTS:",
        "if True:",
        f"{PROTOCOLS}::TestFrames::test_a_million_fragments",
    ),
    _guard(
        "nothing is said to broken connections",
        f"{SERVER}/protocols.py",
        "if self._is_broken:",
        "if False:",
        f"{PROTOCOLS}::TestFrames::test_that_are_broken_while_something_is_said_to_their_peer",
    ),
    _guard(
        "pongs to whoever does not read",
        f"{SERVER}/protocols.py",
        "if self.writable.is_set():",
        "if True:",
        f"{PROTOCOLS}::TestPings::test_flood_by_a_client_that_does_not_read_fills_no_memory",
    ),
    _guard(
        "size of frames",
        f"{SERVER}/run.py",
        "ws_max_size=MAX_FRAME_BYTES,",
        "ws_max_size=2**40,",
        f"{PROTOCOLS}::TestFrames::test_frame_beyond_the_limit",
    ),
    _guard(
        "size of bodies that is told",
        f"{SERVER}/bodies.py",
        'if int(request.headers.get("content-length", 0)) > max_bytes:',
        "if False:",
        f"{FILES}::TestBounds::test_length_that_is_told",
    ),
    _guard(
        "size of bodies that is not told",
        f"{SERVER}/bodies.py",
        "if self._n_bytes > self._max_bytes:",
        "if False:",
        f"{FILES}::TestBounds::test_length_that_is_not_told",
    ),
    _guard(
        "rate of bodies",
        f"{SERVER}/bodies.py",
        "anyio.fail_after(self._patience())",
        "anyio.fail_after(None)",
        f"{FILES}::TestBounds::test_slow_body",
    ),
    _guard(
        "fields of forms",
        f"{SERVER}/recordings.py",
        "max_files=1, max_fields=MAX_FORM_FIELDS,",
        "",
        f"{FILES}::TestRefusals::test_two_files",
    ),
    _guard(
        "one meaning of JSON",
        f"{SERVER}/recordings.py",
        "parse_object(body.decode())",
        '__import__("json").loads(body.decode())',
        f"{FILES}::TestRefusals::test_malformed_json",
    ),
    _guard(
        "admission",
        f"{SERVER}/admission.py",
        "if len(self) >= self.limit:",
        "if False:",
        "tests/server/test_admission.py::test_admits_so_many_and_no_more",
    ),
    _guard(
        "drain",
        f"{SERVER}/run.py",
        "await self._service.drain()",
        "pass",
        "tests/server/test_run.py::test_first_signal_lets_everyone_finish",
    ),
)

SOURCES = (
    _guard(
        "public addresses only",
        f"{AUDIO}/source.py",
        "may_dial=is_public,",
        "may_dial=_any_address,",
        STRANGERS_URLS,
        quick=True,
    ),
    _guard("ports of the web only", f"{AUDIO}/source.py", "ports=WEB_PORTS)", "ports=ALL_PORTS)", STRANGERS_URLS),
    _guard(
        "every address of a host",
        f"{AUDIO}/fetch.py",
        "if not all(self._policy.may_dial(address) for address in addresses):",
        "if not any(self._policy.may_dial(address) for address in addresses):",
        STRANGERS_URLS,
    ),
    _guard(
        "one look at the name",
        f"{AUDIO}/fetch.py",
        "network.connect_tcp(last, port,",
        "network.connect_tcp(str((await self._policy.resolve(host, port))[-1]), port,",
        f"{FETCH}::test_a_second_look_at_the_name_never_happens",
    ),
    _guard(
        "no URLs unless allowed",
        f"{AUDIO}/fetch.py",
        "if not (policy.is_trusted or policy.audio.allow_urls):",
        "if False:",
        f"{FETCH}::test_strangers_name_no_urls_unless_it_is_allowed",
    ),
    _guard(
        "redirects are checked",
        f"{AUDIO}/fetch.py",
        "target = check_url(urljoin(parts.geturl(), location), policy)",
        "target = urlsplit(urljoin(parts.geturl(), location))",
        f"{FETCH}::test_a_redirect_is_checked_like_a_url",
    ),
    _guard(
        "redirects are counted",
        f"{AUDIO}/fetch.py",
        "for _ in range(policy.audio.max_redirects + 1):",
        "for _ in range(1000):",
        f"{FETCH}::test_redirects_are_followed_as_often_as_is_allowed",
    ),
    _guard(
        "allowed hosts",
        f"{AUDIO}/fetch.py",
        '    _check_host(parts.hostname or "", policy)\n    return',
        "    return",
        f"{FETCH}::test_only_allowed_hosts",
    ),
    _guard(
        "size of what is fetched",
        f"{AUDIO}/fetch.py",
        "_check_size(file.tell(), max_bytes)",
        "pass",
        f"{FETCH}::test_a_body_of_the_largest_size_passes_and_a_byte_more_does_not",
        f"{FETCH}::test_an_endless_body_is_stopped_at_the_cap",
    ),
    _guard(
        "deadline of a fetch",
        f"{AUDIO}/fetch.py",
        "anyio.fail_after(policy.audio.fetch_timeout_s)",
        "anyio.fail_after(None)",
        f"{FETCH}::test_a_slow_server_meets_a_deadline",
    ),
    _guard(
        "folders that are links",
        f"{AUDIO}/paths.py",
        "OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW |",
        "OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY |",
        "tests/audio/test_paths.py::test_all_else_is_refused_in_the_same_words",
        "tests/audio/test_paths.py::test_a_link_that_is_swapped_in_is_never_followed",
        quick=True,
    ),
    _guard(
        "files that are links",
        f"{AUDIO}/paths.py",
        "OPEN_FILE | os.O_NOFOLLOW, dir_fd=above",
        "OPEN_FILE, dir_fd=above",
        "tests/audio/test_paths.py::test_all_else_is_refused_in_the_same_words",
    ),
    _guard(
        "names with tricks",
        f"{AUDIO}/paths.py",
        'if any(not name or name.startswith(".") for name in names):',
        "if False:",
        "tests/audio/test_paths.py::test_all_else_is_refused_in_the_same_words",
    ),
    _guard(
        "regular files only",
        f"{AUDIO}/paths.py",
        "if stat.S_ISREG(os.fstat(descriptor).st_mode):",
        "if True:",
        "tests/audio/test_paths.py::test_all_else_is_refused_in_the_same_words",
    ),
    _guard(
        "no files unless a folder is named",
        f"{AUDIO}/decode.py",
        "open_any(path) if policy.is_trusted else",
        "open_any(path) if True else",
        "tests/audio/test_paths.py::test_strangers_read_no_files_unless_a_folder_is_named",
    ),
    _guard(
        "no guessing what a stranger's text is",
        f"{AUDIO}/decode.py",
        "    if not policy.is_trusted:\n        raise SourceForbidden",
        "    if False:\n        raise SourceForbidden",
        "tests/audio/test_decode.py::test_a_remote_caller_says_what_a_source_is",
    ),
    _guard(
        "size of bytes",
        f"{AUDIO}/decode.py",
        "if len(data) > policy.max_bytes:",
        "if False:",
        "tests/audio/test_decode.py::test_bytes_are_capped_for_remote_callers",
    ),
    _guard(
        "base64 is measured first",
        f"{AUDIO}/encoded.py",
        "if n_characters > -(-max_bytes // 3) * 4 + MAX_DATA_URI_HEAD:",
        "if False:",
        "tests/audio/test_encoded.py::test_much_too_much_is_refused_before_it_is_decoded",
    ),
)

DECODERS = (
    _guard(
        "decoders are confined",
        f"{AUDIO}/decoder/process.py",
        "confine(job.cpu_seconds, job.memory_bytes)",
        "pass",
        "tests/audio/decoder/test_launch.py::test_a_decoder_at_work_is_confined",
    ),
    _guard(
        "memory of a decoder",
        f"{AUDIO}/decoder/confine.py",
        "_limit(resource.RLIMIT_AS, _address_space() + memory_bytes)",
        "pass",
        "tests/audio/decoder/test_confine.py::test_it_has_no_more_memory_than_it_may",
    ),
    _guard(
        "processor time of a decoder",
        f"{AUDIO}/decoder/confine.py",
        "_limit(resource.RLIMIT_CPU, cpu_seconds)",
        "pass",
        "tests/audio/decoder/test_confine.py::test_it_spins_no_longer_than_it_may",
    ),
    _guard(
        "descriptors of a decoder",
        f"{AUDIO}/decoder/confine.py",
        ", resource.RLIMIT_NOFILE):",
        "):",
        "tests/audio/decoder/test_confine.py::test_it_opens_nothing",
    ),
    _guard(
        "a decoder knows no secret",
        f"{AUDIO}/decoder/launch.py",
        "env={name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}",
        "env=dict(os.environ)",
        "tests/audio/decoder/test_launch.py::test_it_knows_no_secret",
    ),
    _guard(
        "deadline of decoding",
        f"{AUDIO}/decode.py",
        "anyio.fail_after(self._timeout_s - self._waited_s)",
        "anyio.fail_after(None)",
        "tests/audio/test_decode.py::test_a_hung_decoder_meets_its_deadline",
    ),
    _guard(
        "length of what is decoded",
        f"{AUDIO}/decoder/recording.py",
        "if seconds > self._max_seconds:",
        "if False:",
        "tests/audio/test_decode.py::test_too_long_audio_is_refused_whatever_it_claims",
    ),
    _guard(
        "length that is claimed",
        f"{AUDIO}/decoder/recording.py",
        "if claim > self._max_seconds and self._demuxer not in ESTIMATED:",
        "if False:",
        "tests/audio/test_decode.py::test_a_length_that_is_written_down_is_refused_at_once",
    ),
    _guard(
        "channels",
        f"{AUDIO}/decoder/recording.py",
        "if not 1 <= frame.layout.nb_channels <= MAX_CHANNELS:",
        "if False:",
        "tests/audio/decoder/test_recording.py::test_more_channels_than_eight_are_refused",
    ),
    _guard(
        "codecs",
        f"{AUDIO}/decoder/recording.py",
        'if stream.codec_context.name not in DECODERS.split(","):',
        "if False:",
        "tests/audio/decoder/test_recording.py::test_a_codec_that_is_not_listed_is_refused",
    ),
    _guard(
        "no pictures",
        f"{AUDIO}/decoder/recording.py",
        '    "codec_whitelist": DECODERS,',
        "    #",
        "tests/audio/decoder/test_recording.py::test_no_picture_is_decoded_to_find_out_what_it_is",
    ),
    _guard(
        "numbers",
        f"{AUDIO}/pcm.py",
        'if values.dtype.kind == "f":\n        scaled, n_replaced = _sanitize(values)',
        'if values.dtype.kind == "f":\n        scaled, n_replaced = values.astype(np.float32), 0',
        "tests/audio/test_pcm.py::test_what_is_no_level_is_replaced_and_counted",
    ),
)

SECRETS = (
    _guard(
        "what the engine says stays here",
        f"{SERVER}/errors.py",
        "message = next((message for kind, message in TOLD.items() if isinstance(error, kind)), error.message)",
        "message = error.message",
        f"{FILES}::TestRefusals::test_failure_of_the_engine",
    ),
    _guard(
        "no secret in a line of the log",
        "voxtral_streaming/logs.py",
        "text = pattern.sub(replacement, text)",
        "pass",
        "tests/test_logs.py::test_what_looks_secret_is_cut_out",
    ),
    _guard(
        "nobody forges a line of the log",
        "voxtral_streaming/logs.py",
        "return super().formatMessage(record).translate(_CONTROL)",
        "return super().formatMessage(record)",
        "tests/test_logs.py::test_nobody_forges_a_line",
    ),
    _guard(
        "keys are masked",
        "voxtral_streaming/config/sections.py",
        "return [MASK] * len(keys)",
        "return [key.get_secret_value() for key in keys]",
        "tests/config/test_load.py::test_nothing_that_is_shown_holds_a_secret",
        quick=True,
    ),
    _guard(
        "weights are what they should be",
        "voxtral_streaming/engines/whisper/weights.py",
        "if digest.hexdigest() != self.sha256:",
        "if False:",
        "tests/engines/whisper/test_weights.py::test_altered_weights_are_never_loaded",
    ),
    _guard(
        "no tags in YAML",
        "voxtral_streaming/config/plain_yaml.py",
        'if getattr(event, "tag", None) is not None:',
        "if False:",
        "tests/config/test_plain_yaml.py::test_extras_are_refused",
    ),
)

WYOMING_TESTS = "tests/server/test_wyoming.py"
WYOMING = (
    _guard(
        "a door without keys is not open to the network unasked",
        "voxtral_streaming/config/sections.py",
        "not (is_loopback(self.wyoming_host) or self.insecure)",
        "False",
        f"{WYOMING_TESTS}::TestConfiguration::test_beyond_this_machine_only_where_that_is_said",
    ),
    _guard(
        "the line of an event of Wyoming",
        f"{SERVER}/dialects/wyoming/events.py",
        "if len(line) > MAX_CONTROL_CHARS:",
        "if False:",
        "tests/server/dialects/wyoming/test_events.py::test_what_is_refused_is_small_and_the_last",
    ),
    _guard(
        "the payload of an event of Wyoming",
        f"{SERVER}/dialects/wyoming/events.py",
        "if (header.payload_length or 0) > MAX_FRAME_BYTES:",
        "if False:",
        f"{WYOMING_TESTS}::TestBounds::test_what_is_no_event",
    ),
    _guard(
        "connections that only ask Wyoming questions",
        f"{SERVER}/wyoming.py",
        "if self._n_visitors >= MAX_VISITORS:",
        "if False:",
        f"{WYOMING_TESTS}::TestBounds::test_those_who_only_ask_are_counted",
    ),
    _guard(
        "connections that say nothing to Wyoming",
        f"{SERVER}/wyoming.py",
        "with anyio.fail_after(self._service.config.server.idle_timeout_s):",
        "with anyio.fail_after(None):",
        f"{WYOMING_TESTS}::TestBounds::test_who_says_nothing_is_let_go",
    ),
)

ENGINE, PROCESS_TESTS = "voxtral_streaming/engines", "tests/engines/process"

ISOLATION = (
    _guard(
        "what a lost engine had heard",
        f"{ENGINE}/replay.py",
        "for block in self._blocks:",
        "for block in ():",
        "tests/engines/test_replay.py::test_what_was_fed_is_fed_again_and_what_follows_behind_it",
        quick=True,
    ),
    _guard(
        "audio that ends the engine again and again",
        f"{ENGINE}/replay.py",
        "is_found = len(inside) == 1 and inside[0].is_suspect and not self._n_acquitted",
        "is_found = False",
        "tests/engines/test_replay.py::test_the_deadly_one_is_found_among_the_innocent",
    ),
    _guard(
        "stable text that was shown before the engine was lost",
        f"{ENGINE}/replay.py",
        "return replace(hypothesis, stable=shown, tentative=text[len(shown) :])",
        "return hypothesis",
        "tests/engines/test_replay.py::TestContinued",
    ),
    _guard(
        "an engine that gives no sign of life",
        f"{ENGINE}/process/watchdog.py",
        "if now - self._heard > policy.silence_s:",
        "if False:",
        f"{PROCESS_TESTS}/test_watchdog.py",
    ),
    _guard(
        "an engine that answers nobody",
        f"{ENGINE}/process/watchdog.py",
        "if self._n_awaited and now - self._progressed > patience_s:",
        "if False:",
        f"{PROCESS_TESTS}/test_watchdog.py",
    ),
    _guard(
        "the memory of the engine",
        f"{ENGINE}/process/watchdog.py",
        "if policy.max_bytes is not None and vitals is not None and vitals.n_bytes > policy.max_bytes:",
        "if False:",
        f"{PROCESS_TESTS}/test_watchdog.py",
    ),
    _guard(
        "an engine that outlives the server",
        f"{ENGINE}/process/host.py",
        "    die_with(int(sys.argv[1]))\n",
        "",
        f"{PROCESS_TESTS}/test_engine.py::test_the_child_does_not_outlive_its_parent",
    ),
    _guard(
        "keys of clients in the process of the engine",
        f"{ENGINE}/process/launch.py",
        " if not name.startswith(SETTINGS)",
        "",
        f"{PROCESS_TESTS}/test_engine.py::TestProcess::test_settings_and_keys_of_clients_stay_here",
    ),
    _guard(
        "the length of a message of the engine",
        f"{ENGINE}/process/wire.py",
        "if length > MAX_BODY:",
        "if False:",
        f"{PROCESS_TESTS}/test_wire.py::test_nonsense_is_refused",
    ),
    _guard(
        "readiness without an engine",
        f"{SERVER}/operations.py",
        "if not service.has_engine:",
        "if False:",
        "tests/server/test_isolated.py::test_an_engine_that_stays_away_is_said_to",
    ),
    _guard(
        "sessions without an engine",
        f"{SERVER}/live.py",
        "        service.check_engine()\n",
        "",
        "tests/server/test_isolated.py::test_an_engine_that_stays_away_is_said_to",
    ),
)

GUARDS = (*DOORS, *BOUNDS, *SOURCES, *DECODERS, *SECRETS, *WYOMING, *ISOLATION)
