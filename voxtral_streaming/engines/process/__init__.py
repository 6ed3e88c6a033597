"""An engine in a process of its own, so that a crash, a hang or hunger for memory takes no session with it.

host.py     the child: an engine, and a socket to the parent
wire.py     what goes over the socket
launch.py   how the child is started
process.py  the parent's view of one child: opened, spoken to, watched, ended
watchdog.py when a child is given up
engine.py   the engine that the rest of the package sees: one child after another
"""
