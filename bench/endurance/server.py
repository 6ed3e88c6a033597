"""The server under test: the whole of it, around an engine that tells exactly what it heard, in its own process.

python -m bench.endurance.server '{"server": {"port": 8123}}'
"""

from __future__ import annotations

import json
import logging
import sys

from bench.accounting import AccountingEngine
from voxtral_streaming.config import Config
from voxtral_streaming.engines.process.engine import ProcessEngine, Recipe
from voxtral_streaming.engines.process.watchdog import Policy
from voxtral_streaming.engines.replay import ReplayEngine
from voxtral_streaming.memory import hold_little
from voxtral_streaming.server.run import serve
from voxtral_streaming.transcriber import Transcriber

READY = "ready"  # the line on standard output when it listens


def announce() -> None:
    """Tell whoever started this that the server listens."""
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until told to stop."""
    hold_little()
    logging.basicConfig(level=logging.INFO)
    config = Config.model_validate(json.loads(sys.argv[1]))
    recipe = Recipe(AccountingEngine.__module__, AccountingEngine.__name__)
    engine = ReplayEngine(ProcessEngine(recipe, Policy(start_s=60.0)))
    serve(config, Transcriber(config, engine=engine), on_ready=announce)


if __name__ == "__main__":
    main()
