"""Engines: what turns the samples of an utterance into hypotheses."""
