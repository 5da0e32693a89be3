"""Stands in for pip: python fake_pip.py BEHAVIOUR WHEEL TMP download ... --dest DIR NAME==VERSION."""

from __future__ import annotations

import shutil
import sys
import threading
from pathlib import Path

behaviour, wheel, temporary = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
arguments = sys.argv[4:]
destination = Path(arguments[arguments.index("--dest") + 1])
with (wheel.parent / "calls").open("a") as calls:
    calls.write(" ".join(arguments) + "\n")

if behaviour == "fails":
    sys.stderr.write("WARNING: retrying\nERROR: no matching distribution\n\nhint: look elsewhere\n")
    sys.exit(1)
if behaviour == "silent":
    sys.exit(2)
if behaviour == "hangs":
    (temporary / "growing").write_bytes(bytes(1000))
    threading.Event().wait()
shutil.copy(wheel, destination / "tiny-1.0-py3-none-any.whl")
