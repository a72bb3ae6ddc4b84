"""Runs the event job in Sluice and in its peers, pair by pair, and prints the ratios.

A pair is one run of Sluice and, right after it, one of the peer: same files, same
codec, same number of threads, whole processes from start to exit. What changes on
the machine while the benchmark runs (clock, neighbours, disk) touches both halves
of a pair, so the ratio within a pair is the figure to trust; the table of medians
is for orientation. bench/README.md says what is and is not compared.

Only the standard library is used, so that this process stays small: a child's peak
memory is never reported below that of the process that started it.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

# What each contestant does to make its output durable; the peers' part was seen with
# strace (DuckDB 2.0.0, Polars 2.1.0: not one fsync, fdatasync, sync or rename).
DURABILITY = {
    "sluice": "fsync of every file and directory, output appears whole by rename",
    "duckdb": "no fsync, files are written in place",
    "duckdb-sorted": "no fsync, files are written in place",
    "polars": "no fsync, files are written in place",
}
METRICS = {"wall": "wall time", "cpu": "CPU time", "rss": "peak RSS"}


class BenchError(Exception):
    """A run that failed or gave a wrong answer: there is nothing to compare."""


@dataclass
class Run:
    """One measured process."""

    name: str
    pair: str  # the peer this run was paired with
    wall: float  # seconds from start to exit
    cpu: float  # seconds, user and system, all threads
    rss: float  # peak resident memory, MB (10^6 bytes)
    files: int  # data files written
    size: float  # MB (10^6 bytes) written


def main():
    options = parse_options()
    pin_to_cores(options.threads)
    work = Path(options.work).resolve()
    source = generate(options, work)
    files, size = inventory(source)
    expected = count_rows(source)
    if expected != options.rows:
        raise BenchError(f"{source} holds {expected} rows, not {options.rows}; remove it")
    print(f"input: {expected:,} rows, {files} files, {size:,.0f} MB; {options.codec}, {options.threads} threads")

    read_once(source)
    runs = []
    for peer in options.peers:
        for number in range(1, options.pairs + 1):
            for name in ("sluice", peer):
                run = run_one(name, peer, source, expected, work, options)
                runs.append(run)
                print(f"  {peer} pair {number}: {name:14} {run.wall:7.2f} s wall {run.cpu:7.2f} s CPU "
                      f"{run.rss:7.0f} MB {run.files:5} files", flush=True)

    report = markdown(runs, options, expected, files, size)
    print("\n" + report)
    save(report, runs, options, work / "results")


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sluice", default=str(ROOT / "bin" / "sluice"), help="the binary to measure")
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows of the data set")
    parser.add_argument("--files", type=int, default=200, help="files of the data set")
    parser.add_argument("--pairs", type=int, default=5, help="pairs per peer")
    parser.add_argument("--codec", default="snappy", help="codec of every output")
    parser.add_argument("--threads", type=int, default=2, help="threads, and cores, for everyone")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=["duckdb", "duckdb-sorted", "polars"],
                        help="comma-separated: " + ", ".join(list(DURABILITY)[1:]))
    parser.add_argument("--work", default=str(HERE / "data"), help="directory for data, outputs and results")
    parser.add_argument("--timeout", type=float, default=900, help="seconds that one run may take")
    options = parser.parse_args()
    for peer in options.peers:
        if peer not in DURABILITY or peer == "sluice":
            parser.error(f"no peer is called {peer!r}; there are {', '.join(list(DURABILITY)[1:])}")
    if options.pairs < 1 or options.threads < 1:
        parser.error("--pairs and --threads must be at least 1")
    return options


def pin_to_cores(threads):
    """Gives this process, and so every child, as many cores as it has threads."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < threads:
            print(f"warning: {threads} threads on {len(cores)} cores", file=sys.stderr)
        os.sched_setaffinity(0, cores[:threads])


def generate(options, work):
    """Makes the data set once; under another name until it is complete."""
    source = work / f"events-{options.rows}x{options.files}"
    if source.is_dir():
        return source
    partial = source.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    subprocess.run([options.sluice, "gen", "events", "--out", str(partial), "--rows", str(options.rows),
                    "--files", str(options.files)], check=True)
    partial.rename(source)
    return source


def read_once(source):
    """Brings the input into the page cache, so that the first run does not pay for all."""
    for path in source.rglob("*.parquet"):
        with open(path, "rb") as file:
            while file.read(1 << 20):
                pass


def command(name, source, out, scratch, options):
    if name == "sluice":
        return [options.sluice, "repartition", str(source), "--partition-by", "type", "--out", str(out),
                "--compression", options.codec, "--threads", str(options.threads),
                "--temp-dir", str(scratch), "--progress", "none"]
    return [sys.executable, str(HERE / "peer.py"), name, str(source), str(out), options.codec,
            str(options.threads), str(scratch)]


def run_one(name, pair, source, expected, work, options):
    """One process from start to exit, measured; its output is checked, then removed."""
    out, scratch = work / "out", work / "scratch"
    for directory in (out, scratch):
        shutil.rmtree(directory, ignore_errors=True)
    scratch.mkdir(parents=True)
    # What the run before left to the kernel to write is not this run's work.
    os.sync()
    usage, wall = measure(command(name, source, out, scratch, options), work / "process.log", options.timeout)
    rows = count_rows(out)
    if rows != expected:
        raise BenchError(f"{name} wrote {rows} rows of {expected}")
    files, size = inventory(out)
    for directory in (out, scratch):
        shutil.rmtree(directory, ignore_errors=True)
    # ru_maxrss is in KiB on Linux.
    return Run(name, pair, round(wall, 3), round(usage.ru_utime + usage.ru_stime, 3),
               round(usage.ru_maxrss * 1024 / 1e6, 1), files, round(size, 1))


def measure(arguments, log_path, timeout):
    """Runs a process and returns its resource usage and its wall time in seconds."""
    with open(log_path, "wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   start_new_session=True)
        killer = threading.Timer(timeout, os.killpg, (process.pid, signal.SIGKILL))
        killer.start()
        # wait4 and not wait: it returns this one process's usage, not the sum of all.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        killer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        tail = log_path.read_text(errors="replace")[-2000:]
        raise BenchError(f"exit {process.returncode} after {wall:.1f} s: {' '.join(arguments)}\n{tail}")
    return usage, wall


def count_rows(directory):
    """The rows below a directory, counted by DuckDB in a process that is not measured."""
    counted = subprocess.run([sys.executable, str(HERE / "peer.py"), "count", str(directory)],
                             check=True, capture_output=True, text=True)
    return int(counted.stdout)


def inventory(directory):
    """Number and MB of the data files; names that readers skip (_x, .x) do not count."""
    sizes = [path.stat().st_size for path in directory.rglob("*")
             if path.is_file() and not path.name.startswith(("_", "."))]
    return len(sizes), sum(sizes) / 1e6


def ratios(runs, peer, metric):
    """Peer over Sluice for each pair, smallest first; above 1 Sluice needs less."""
    ours = [getattr(run, metric) for run in runs if run.pair == peer and run.name == "sluice"]
    theirs = [getattr(run, metric) for run in runs if run.pair == peer and run.name == peer]
    return sorted(b / a for a, b in zip(ours, theirs, strict=True))


def markdown(runs, options, rows, files, size):
    names = ["sluice", *options.peers]
    lines = [
        f"{rows:,} rows in {files} files ({size:,.0f} MB), partitioned by `type`; {options.codec}, "
        f"{options.threads} threads, {options.pairs} pairs per peer. {machine()}.",
        "",
        "Medians of whole processes, from start to exit:",
        "",
        "| | version | wall s | CPU s | peak RSS MB | files | MB out | durability |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for name in names:
        mine = [run for run in runs if run.name == name]
        wall, cpu, rss, count, out = (statistics.median(getattr(run, field) for run in mine)
                                      for field in ("wall", "cpu", "rss", "files", "size"))
        lines.append(f"| {name} | {version(name, options)} | {wall:.2f} | {cpu:.2f} | {rss:.0f} | {count:.0f} "
                     f"| {out:.0f} | {DURABILITY[name]} |")
    lines += [
        "",
        "Peer divided by Sluice, pair by pair (median, and the smallest and largest of the pairs); "
        "above 1 Sluice needs less:",
        "",
        "| | " + " | ".join(METRICS.values()) + " |",
        "|---|" + "---:|" * len(METRICS),
    ]
    for peer in options.peers:
        cells = []
        for metric in METRICS:
            pairs = ratios(runs, peer, metric)
            cells.append(f"{statistics.median(pairs):.2f} ({pairs[0]:.2f} - {pairs[-1]:.2f})")
        lines.append(f"| {peer} | " + " | ".join(cells) + " |")
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    lines += ["", f"Peak RSS cannot read below {own:.0f} MB, the benchmark's own."]
    return "\n".join(lines) + "\n"


def version(name, options):
    if name == "sluice":
        printed = subprocess.run([options.sluice, "version"], check=True, capture_output=True, text=True)
        # "sluice VERSION (commit, ...)"
        return printed.stdout.split()[1]
    return metadata.version(name.split("-")[0])


def machine():
    model = platform.machine()
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"


def save(report, runs, options, directory):
    directory.mkdir(parents=True, exist_ok=True)
    summary = {peer: {metric: {"min": values[0], "median": statistics.median(values), "max": values[-1]}
                      for metric in METRICS for values in [ratios(runs, peer, metric)]}
               for peer in options.peers}
    document = {
        "machine": machine(),
        "versions": {name: version(name, options) for name in ["sluice", *options.peers]},
        "options": vars(options),
        "ratios": summary,
        "runs": [asdict(run) for run in runs],
    }
    (directory / "latest.json").write_text(json.dumps(document, indent=2) + "\n")
    (directory / "latest.md").write_text(report)
    print(f"written to {directory / 'latest.md'} and latest.json")


if __name__ == "__main__":
    try:
        main()
    except (BenchError, subprocess.CalledProcessError) as error:
        sys.exit(f"bench: {error}")
