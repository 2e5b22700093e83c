"""What can keep the embedded stack from running.

StackError
├── NeverReady        a part died in each of its first three starts
├── DataDirInUse      the data dir belongs to a stack that is running
├── NotRunning        a command needs a running stack, or the environment's URLs, and found neither
├── PortTaken         a port that was asked for is somebody else's
└── DemoFailed        the demo found something else than it promised
"""


class StackError(Exception):
    """The message is for the person at the terminal: what is wrong and what to do."""


class NeverReady(StackError):
    """Starting a part again has not helped."""


class DataDirInUse(StackError):
    """Two stacks on one data dir would destroy each other's data."""


class NotRunning(StackError):
    """No stack runs on the data dir, and the environment names no service."""


class PortTaken(StackError):
    """Nothing was started."""


class DemoFailed(StackError):
    """One of the demo's promises did not hold."""
