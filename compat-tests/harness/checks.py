"""Checks: one line for each thing that was looked at, and the count at the end.

The lines are the same for test programs of every language:

    ok NAME
    FAILED NAME: what was seen

and the last line of each run.sh is "N passed, N failed".
"""

import re
import sys
import traceback

LINE = re.compile(r"^(ok|FAILED) (\S.*)$")
COUNT = re.compile(r"^\d+ passed, \d+ failed$")


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def that(self, holds, name, seen=""):
        """Record one check. Returns whether it held."""
        if holds:
            self.passed += 1
            print(f"ok {name}", flush=True)
        else:
            self.failed += 1
            print(f"FAILED {name}: {seen}", flush=True)
        return bool(holds)

    def equal(self, seen, expected, name):
        return self.that(seen == expected, name, f"saw {short(seen)}, expected {short(expected)}")

    def run(self, name, body, *arguments):
        """Call a body that makes checks. What it raises, or that it made none, is a failed check."""
        before = self.passed + self.failed
        try:
            body(*arguments)
        except Exception as error:  # whatever a client library raises
            traceback.print_exc()
            self.that(False, name, f"{type(error).__name__}: {short(error)}")
            return
        if self.passed + self.failed == before:
            self.that(False, name, "it checked nothing")

    def take(self, line):
        """Show a line that another program printed, and count it if it is one of ours."""
        if not COUNT.match(line.strip()):     # the only count is to be the one at the end
            print(line, end="", flush=True)
        if match := LINE.match(line):
            self.passed += match[1] == "ok"
            self.failed += match[1] == "FAILED"

    def finish(self):
        """Print the count and return the exit code. Nothing looked at is a failure."""
        if self.passed + self.failed == 0:
            self.that(False, "something is checked", "nothing was")
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed else 0


def short(value, limit=300):
    text = value if isinstance(value, str) else f"{value!s}" if isinstance(value, Exception) else repr(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def exit_with(checks):
    sys.exit(checks.finish())
