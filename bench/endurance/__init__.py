"""Hours of speech and thousands of sessions under random faults; nothing may be lost, and nothing may grow."""
