import sys
from subprocess import CalledProcessError

from tests.acceptance.doors.openai_2 import install_openai_2

try:
    install_openai_2()
except CalledProcessError as error:
    print(f"pip could not install the openai package: {error}", file=sys.stderr)  # noqa: T201
    sys.exit(1)
