"""The bounds of the server that are facts of its interface, each with the answer when it is reached.

What an operator may choose stands in the configuration instead.
"""

from __future__ import annotations

MAX_FRAME_BYTES = 2**20  # a larger WebSocket message: close 1009
MAX_CONTROL_CHARS = 2**16  # a longer text message without audio in it: `message_too_large`, close 1009
MAX_FRAGMENTS = 4096  # of one WebSocket message; more: close 1009
MAX_PROMPT_CHARS = 4096  # a longer prompt: `invalid_config` or `invalid_request`
MAX_ID_CHARS = 128  # a longer id of a client's message: `protocol_error`

OUTBOX_NOTICES = 256  # more wait to be sent: recognition of the session pauses
SEND_TIMEOUT_S = 10.0  # a client that reads nothing for so long: `slow_consumer`, close 1008
CLOSE_TIMEOUT_S = 2.0  # a closing frame that cannot be sent for so long: the connection is dropped

TOKEN_BYTES = 32  # of chance in the token of a session that may be resumed
RESUME_TIMEOUT_S = 10.0  # a connection that does not say for so long what it resumes: close 4408
HISTORY_FRAMES = 1024  # messages kept until they are acknowledged; that many for 10 s: `slow_consumer`
HISTORY_BYTES = 2**20  # of them; one message more may be kept
ACK_EVERY_S = 1.0  # of audio received, its sender is told
LAG_INTERVAL_S = 1.0  # between two looks at how late the finals of a session are
LATE_LOOKS = 5  # after the first at which they were too late: `overloaded`, close 4503

PING_INTERVAL_S = 20.0  # between two pings of the server
PING_TIMEOUT_S = 20.0  # a ping unanswered for so long, with no message of the client waiting here: close 1011

MAX_VISITORS = 32  # Wyoming connections that have not begun a session; more are closed

HEADER_TIMEOUT_S = 5.0  # request headers that take longer: 408
LINGER_S = 5.0  # a body that goes on for so long after it was answered: the connection is dropped
MIN_BODY_RATE = 1024  # bytes per second; a body slower than this since it began: 408
BODY_GRACE_S = 10.0  # before the rate of a body is judged

UPLOADS_AT_ONCE = 2  # files under recognition; more wait
MAX_UPLOADS = 10  # files being received, waiting or under recognition; more: 503 `overloaded`
MAX_FORM_FIELDS = 16  # of a multipart body; more: 400
MAX_FORM_VALUES = 256  # of a form in which fields may repeat; more: 400
MAX_FIELD_BYTES = 2**16  # of a field of a multipart body that is no file; more: 400
RETRY_AFTER_S = 5  # what a refused client is told to wait
BODY_OVERHEAD = 2**20  # bytes around the audio of a body: other fields, boundaries; more: 413
SHUTDOWN_TIMEOUT_S = 2  # for connections to close, once every session has ended; then they are dropped

TOKEN_TTL_S = 600  # how long a minted token opens sessions, where the client does not say
MIN_TOKEN_TTL_S, MAX_TOKEN_TTL_S = 10, 7200
MAX_TOKEN_SESSION_BYTES = 3072  # options that a token carries; it must fit into a header: 422
