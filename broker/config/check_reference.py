#!/usr/bin/env python3
"""Is docs/configuration.md what the tables say? check_reference.py FOLDER REFERENCE.md"""

import pathlib
import subprocess
import sys
import tempfile

folder, reference = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
with tempfile.TemporaryDirectory() as scratch:
    fresh = pathlib.Path(scratch) / "configuration.md"
    subprocess.run([sys.executable, folder / "generate.py", "docs", folder, fresh], check=True)
    if fresh.read_text() != reference.read_text():
        sys.exit("docs/configuration.md is not what the tables say; run"
                 " broker/config/generate.py docs broker/config docs/configuration.md")
