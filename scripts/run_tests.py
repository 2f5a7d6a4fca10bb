"""Run the steps of scripts/test and count.

What is built comes first. Then two jobs run at a time, since most suites wait for a client more
than they compute; each step is a process of its own, and what it prints is shown when it ends.

A step is a name and a command. What it contributes to the count:
  - Meson steps: the test cases of each program (doctest says how many), else one a program;
  - the others: the "N passed, N failed" that the command prints last.
A step that ends badly without having said so, or says nothing, counts as one failure.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
JOBS = 2
STEP_SECONDS_MAX = 60 * 60      # The sanitizer build is the longest; what hangs must not take the other results along.
COUNT = re.compile(r"^(\d+) passed, (\d+) failed(?:, \d+ skipped)?$")
CASES = re.compile(r"\[doctest\] test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed")
# Suites that run no broker, or that look at where the metadata are; the others also run with Apache ZooKeeper.
WITHOUT_ZOOKEEPER = {"checker", "cluster", "kafka-directories", "librdkafka", "mixed-cluster", "oracle", "records", "schema",
                     "startup", "upgrade", "zookeeper", "zookeeper-mode"}
# Of those, the ones that do so in every run: short, and between them all of a client's life. The rest: --all.
ALWAYS_ON_ZOOKEEPER = {"kafka-go", "kafka-python", "kcat"}
# What runs once more with a broker that the thread sanitizer watches: between them, all of its threads.
UNDER_TSAN = ("cluster", "kafka-python", "kill", "nemesis", "zookeeper-clients")
SANITIZERS = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:abort_on_error=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": f"halt_on_error=1:suppressions={ROOT}/scripts/tsan.supp",
}


@dataclasses.dataclass
class Step:
    name: str
    run: object                 # () -> (passed, failed)
    needs: str = ""             # the step that must have run before
    only_with_all: bool = False


def command(*words, environment=None):
    """Run a command to its end, showing its output. Returns its exit code."""
    return subprocess.run(words, cwd=ROOT, env={**os.environ, **(environment or {})}).returncode


def counting(*words, environment=None):
    """Run a command that ends with "N passed, N failed", showing its output."""
    passed = failed = None
    with subprocess.Popen(words, cwd=ROOT, text=True, errors="replace", stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}) as child:
        for line in child.stdout:
            print(line, end="", flush=True)
            if match := COUNT.match(line.strip()):
                passed, failed = int(match[1]), int(match[2])
    if passed is None or passed + failed == 0:
        print(f"{words[0]}: said nothing about what it tested")
        return 0, 1
    if child.returncode != 0 and failed == 0:
        print(f"{words[0]}: exit code {child.returncode} with nothing counted as failed")
        failed = 1
    return passed, failed


def configure(build, *options, environment=None):
    """meson setup, once."""
    if (ROOT / build / "build.ninja").exists():
        return True
    linker = {"CXX_LD": "mold"} if shutil.which("mold") else {}
    return command("meson", "setup", build, *options, environment={**linker, **(environment or {})}) == 0


def meson_tests(build, *suites):
    """Run the tests of some suites in a configured build folder, and count their cases."""
    log = ROOT / build / "meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    wanted = [word for suite in suites for word in ("--suite", suite)]
    code = command("meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "--timeout-multiplier", "20",
                   *wanted, environment=SANITIZERS)
    passed = failed = 0
    for line in log.read_text().splitlines() if log.exists() else []:
        test = json.loads(line)
        good = test["result"] == "OK"
        cases = CASES.search(test.get("stdout", ""))
        if cases:
            passed += int(cases[1])
            failed += int(cases[2]) or (0 if good else 1)
        else:
            passed, failed = passed + good, failed + (not good)
    if passed + failed == 0 or (code != 0 and failed == 0):
        failed += 1
    return passed, failed


def build_step(build, target, *options, environment=None):
    """Configure and compile: one test, that it does."""
    def run():
        good = configure(build, *options, environment=environment) and command("ninja", "-C", build, target) == 0
        return (1, 0) if good else (0, 1)
    return run


def under_tsan(script):
    """A suite with the broker of build-tsan: each process that has a race to report is a failure."""
    with tempfile.TemporaryDirectory() as reports:
        passed, failed = counting(str(script), environment={
            "MILENA_BINARY": str(ROOT / "build-tsan/milena"),
            "TSAN_OPTIONS": f"exitcode=0:suppressions={ROOT}/scripts/tsan.supp:log_path={reports}/race"})
        for report in sorted(pathlib.Path(reports).iterdir()):
            print(report.read_text())
            failed += 1
    return passed, failed


def not_yet():
    """Suites that Milena does not pass yet, with the reason: run by --all, and named in every run."""
    lines = (ROOT / "compat-tests/not-yet.txt").read_text().splitlines()
    return dict(line.split(None, 1) for line in lines if line and not line.startswith("#"))


def steps(everything):
    clang = {"CXX": "clang++-19", "CC": "clang-19"}
    # Lines and names of functions are what a report needs; the rest of -g doubles the time of the build.
    light = ("-Doptimization=1", "-Ddebug=false", "-Dcpp_args=-g1", "-Db_lundef=false")
    yield Step("build", build_step("build", "all"))
    yield Step("tidy", lambda: meson_tests("build", "tidy"), "build")
    yield Step("unit", lambda: meson_tests("build", "unit"), "build")
    yield Step("build-asan", build_step("build-asan", "meson-test-prereq", "-Db_sanitize=address,undefined", *light))
    yield Step("unit-asan", lambda: meson_tests("build-asan", "unit"), "build-asan")
    yield Step("build-tsan", build_step("build-tsan", "all", "-Db_sanitize=thread", *light, environment=clang),
               only_with_all=True)
    yield Step("unit-tsan", lambda: meson_tests("build-tsan", "unit"), "build-tsan", only_with_all=True)
    long_form = {"TEST_ALL": "1"} if everything else {}
    for script in sorted((ROOT / "compat-tests").glob("*/run.sh")):
        yield Step(f"compat-tests/{script.parent.name}",
                   lambda script=script: counting(str(script), environment=long_form), "build",
                   only_with_all=script.parent.name in not_yet())
        if script.parent.name not in WITHOUT_ZOOKEEPER:
            yield Step(f"compat-tests/{script.parent.name} on ZooKeeper",
                       lambda script=script: counting(str(script), environment={"MILENA_TEST_ZOOKEEPER": "1"}), "build",
                       only_with_all=script.parent.name not in ALWAYS_ON_ZOOKEEPER)
        if script.parent.name in UNDER_TSAN:
            yield Step(f"compat-tests/{script.parent.name} under TSan", lambda script=script: under_tsan(script),
                       "build-tsan", only_with_all=True)
    for name in ("fuzz", "mutation"):
        yield Step(name, lambda name=name: counting(str(ROOT / "scripts" / name)), only_with_all=True)


def choose(everything, words):
    """The steps that were asked for, and before each the one it needs."""
    possible = [step for step in steps(everything) if everything or not step.only_with_all]
    if not words:
        return possible
    named = [step for step in possible if any(word in step.name for word in words)]
    wanted = {step.name for step in named} | {step.needs for step in named}
    return [step for step in possible if step.name in wanted]


def in_jobs(chosen):
    """The steps that run alone, in order; then lists of steps that may run beside others, longest first."""
    alone = [step for step in chosen if step.name in ("build", "tidy", "unit")]
    rest = [step for step in chosen if step not in alone]
    chains = {step.name: [step] for step in rest if step.needs in ("", "build")}
    for step in rest:
        if step.name not in chains:
            chains[step.needs].append(step)
    return alone, sorted(chains.values(), key=len, reverse=True)


class Runner:
    """Runs steps as processes and prints what each said and counted, one step after the other."""

    def __init__(self, options):
        self.options, self.rows, self.printing = options, [], threading.Lock()

    def run(self, step):
        started = time.monotonic()
        with tempfile.TemporaryFile() as output, tempfile.NamedTemporaryFile("r") as counts:
            child = subprocess.Popen(
                [sys.executable, __file__, *self.options, "--run-step", step.name, "--counts", counts.name],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                child.wait(None if self.options else STEP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                output.write(f"ended: still running after {STEP_SECONDS_MAX // 60} min\n".encode())
            with contextlib.suppress(ProcessLookupError):    # What it left behind, too.
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            minutes = (time.monotonic() - started) / 60
            said = counts.read().split()
            passed, failed = map(int, said) if child.returncode == 0 and len(said) == 2 else (0, 1)
            output.seek(0)
            with self.printing:
                print(f"\n=== {step.name}", flush=True)
                shutil.copyfileobj(output, sys.stdout.buffer)
                sys.stdout.buffer.flush()
                print(f"=== {step.name}: {passed} passed, {failed} failed in {minutes:.1f} min", flush=True)
                self.rows.append((step.name, minutes, passed, failed))

    def run_all(self, steps):
        for step in steps:
            self.run(step)


def main():
    parser = argparse.ArgumentParser(prog="scripts/test")
    parser.add_argument("--run-step", help=argparse.SUPPRESS)    # How a Runner runs one.
    parser.add_argument("--counts", help=argparse.SUPPRESS)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("filter", nargs="*")
    arguments = parser.parse_args()

    chosen = choose(arguments.all, arguments.filter)
    if arguments.list:
        print(*(step.name for step in chosen), sep="\n")
        return 0

    os.environ.setdefault("MILENA_BINARY", str(ROOT / "build/milena"))
    os.environ.setdefault("GOTOOLCHAIN", "local")
    if arguments.run_step:
        passed, failed = next(step for step in steps(arguments.all) if step.name == arguments.run_step).run()
        pathlib.Path(arguments.counts).write_text(f"{passed} {failed}")
        return 0
    runner = Runner(["--all"] if arguments.all else [])
    rows = runner.rows
    if os.environ.get("PACKAGES_FAILED", "0") != "0":
        rows.append(("packages", 0.0, 0, 1))
    alone, together = in_jobs(chosen)
    runner.run_all(alone)
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for job in [pool.submit(runner.run_all, chain) for chain in together]:
            job.result()

    print("\nstep                              minutes   passed   failed")
    for name, minutes, passed, failed in rows:
        print(f"{name:<32}{minutes:>9.1f}{passed:>9}{failed:>9}{'   <--' if failed else ''}")
    passed, failed = sum(row[2] for row in rows), sum(row[3] for row in rows)
    for name, why in not_yet().items() if not arguments.all else ():
        print(f"not run, because it is known to fail: compat-tests/{name}: {why}")
    if not chosen:
        print("no step has such a name; scripts/test --list shows them")
        failed += 1
    print(f"\n{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
