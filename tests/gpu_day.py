#!/usr/bin/env python3
"""The one command for the day a GPU is there: tests/gpu_day.py [--device cuda:0] [--report FOLDER].

Checks every GPU kernel against its reference on the device, tunes and times it, compares what the
simulator counts with what the device counts (Nsight Compute, where `ncu` is installed and
permitted), and writes FOLDER/report.md, its raw rows as FOLDER/rows.jsonl and the database
FOLDER/tuning.db. Exit status: 0 when every kernel is right, 1 otherwise. Needs build/hone
(scripts/build.sh) and the runtime compiler (scripts/fetch_gpu_compilers.sh); nothing but Python's
own library.
"""
import argparse
import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Odd, tiny and ordinary shapes of every operator that has GPU variants.
CHECKED = [
    "norm:rows=1,cols=64", "norm:rows=37,cols=576", "norm:rows=5,cols=4096,kind=layer_bias",
    "norm:rows=16,cols=896,x=bf16", "norm:rows=3,cols=2048,residual=add",
    "softmax:rows=1,cols=1", "softmax:rows=33,cols=1000", "softmax:rows=4,cols=50257,x=bf16",
    "gemm:m=1,n=64,k=64", "gemm:m=7,n=130,k=96", "gemm:m=64,n=256,k=512,x=bf16,w=bf16",
    "gemm:m=33,n=200,k=256,x=bf16,w=bf16",
    "attention:q=1,kv=1,heads=4,kv_heads=2,d=64", "attention:q=1,kv=1000,heads=9,kv_heads=3,d=64",
    "attention:q=1,kv=777,heads=32,kv_heads=8,d=128",
]
TIMED = [
    "norm:rows=512,cols=4096", "softmax:rows=512,cols=4096",
    "gemm:m=1,n=4096,k=4096,x=bf16,w=bf16", "gemm:m=16,n=4096,k=4096,x=bf16,w=bf16",
    "gemm:m=2048,n=4096,k=4096,x=bf16,w=bf16",
    "attention:q=1,kv=4096,heads=32,kv_heads=8,d=128",
]
# Small enough to simulate: counts of one launch.
COUNTED = ["norm:rows=64,cols=4096", "softmax:rows=64,cols=4096",
           "gemm:m=64,n=256,k=512,x=bf16,w=bf16", "attention:q=1,kv=512,heads=8,kv_heads=2,d=128"]

# The simulator's counter, Nsight Compute's metric, and what is known to differ.
METRICS = [
    ("instructions", "smsp__inst_executed.sum", "PTX against machine instructions"),
    ("global_load_sectors", "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum", ""),
    ("global_store_sectors", "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum", ""),
    ("shared_wavefronts", "l1tex__data_pipe_lsu_wavefronts_mem_shared.sum", ""),
]


def rows_of(command, **more):
    """The JSON lines that a hone command prints, and its exit status and stderr."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    rows = []
    for line in done.stdout.splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            pass  # a profiler's own lines
    return rows, done.returncode, done.stderr.strip()


def table(headers, rows):
    lines = ["| " + " | ".join(headers) + " |", "|" + "---|" * len(headers)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


class Day:
    def __init__(self, options):
        self.options = options
        self.folder = pathlib.Path(options.report)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.database = str(self.folder / "tuning.db")
        self.raw = open(self.folder / "rows.jsonl", "w")
        self.report = []
        self.wrong = 0
        self.arch = ""

    def keep(self, step, rows):
        for row in rows:
            self.raw.write(json.dumps({"step": step, **row}) + "\n")
        self.raw.flush()

    def say(self, text):
        print(text, flush=True)
        self.report.append(text)

    def hone(self, *arguments, **more):
        return rows_of([self.options.hone, *arguments, "--json"], **more)

    def describe(self):
        rows, status, why = self.hone("devices", "--measure", "--db", self.database)
        mine = [row for row in rows if row.get("device") == self.options.device]
        if not mine:
            sys.exit(f"gpu_day: there is no {self.options.device}: {why or 'hone devices lists none'}")
        self.keep("device", mine)
        self.arch = mine[0]["arch"]
        self.say(f"# {self.options.device}: {mine[0].get('name', '')}, {self.arch}\n\n"
                 f"`{json.dumps(mine[0])}`\n")

    def check(self):
        self.say("## Against the references, on the device\n")
        results = []
        for problem in self.options.check:
            rows, status, why = self.hone("check", problem, "--device", self.options.device,
                                          "--samples", str(self.options.samples))
            self.keep("check", rows)
            bad = [row for row in rows if not row.get("pass")]
            self.wrong += len(bad) + (0 if rows else 1)
            results.append((problem, len(rows), len(bad) if rows else f"no result: {why[:120]}"))
            for row in bad:
                results.append(("", row["variant"], f"{row['config']}: {row['status']} {row['reason'][:120]}"))
        self.say(table(["problem", "configs", "wrong"], results) + "\n")

    def tune(self):
        self.say("## Times\n")
        results = []
        for problem in self.options.time:
            rows, status, why = self.hone("tune", problem, "--device", self.options.device, "--db", self.database,
                                          "--budget", self.options.budget)
            self.keep("tune", rows)
            timed, status, why = self.hone("bench", problem, "--device", self.options.device, "--db", self.database)
            self.keep("bench", timed)
            for row in timed:
                share = f"{100 * row['fraction']:.0f} %" if row.get("fraction") else "?"
                results.append((problem, row.get("variant", ""), f"{row['median_ns'] / 1e3:.2f} us", share,
                                row.get("config", "")))
            if not timed:
                results.append((problem, "no result", why[:120], "", ""))
        self.say(table(["problem", "variant", "time", "of limit", "config"], results) + "\n")

    def count(self):
        self.say("## The simulator's counts against the device's\n")
        profiler = shutil.which("ncu")
        if profiler is None:
            self.say("Not counted on the device: `ncu` (Nsight Compute) is not installed.\n")
        results = []
        for problem in self.options.count:
            simulated, status, why = self.hone("check", problem, "--target", f"cuda/{self.arch}", "--samples", "0")
            self.keep("simulated", simulated)
            seen = set()
            for row in simulated:
                counters = row.get("counters") or {}
                if row["variant"] in seen or not counters:
                    continue  # the start config of each variant
                seen.add(row["variant"])
                measured = self.profile(profiler, problem, row) if profiler else {}
                self.keep("counted", [{"problem": problem, "variant": row["variant"], **measured}])
                launches = max(counters.get("launches", 1), 1)
                for name, metric, remark in METRICS:
                    ours = counters.get(name, 0) / launches
                    theirs = measured.get(metric)
                    ratio = f"{theirs / ours:.2f}" if theirs and ours else ""
                    results.append((problem, row["variant"], name, f"{ours:.0f}",
                                    "" if theirs is None else f"{theirs:.0f}", ratio, remark))
        self.say(table(["problem", "variant", "counter", "simulator", "device", "device / simulator", ""], results) + "\n")

    def profile(self, profiler, problem, row):
        """Mean of each metric over the profiled launches of the kernel's entries."""
        command = [profiler, "--csv", "--target-processes", "all", "--metrics", ",".join(m for _, m, _ in METRICS),
                   "--kernel-name", "regex:^hone_", self.options.hone, "check", problem, "--device", self.options.device,
                   "--variant", row["variant"], "--config", row["config"]]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith('"')]
        values, ids = {}, set()
        for line in csv.DictReader(lines):
            ids.add(line["ID"])
            number = line["Metric Value"].replace(",", "")
            values[line["Metric Name"]] = values.get(line["Metric Name"], 0) + float(number)
        if not ids:
            self.say(f"`ncu` counted nothing for {problem} {row['variant']}: {done.stdout.strip()[-200:]}\n")
        return {name: value / len(ids) for name, value in values.items()} if ids else {}

    def finish(self, began):
        verdict = "every kernel is right" if self.wrong == 0 else f"{self.wrong} wrong results"
        self.say(f"{verdict}; {time.time() - began:.0f} s; report in {self.folder / 'report.md'}")
        (self.folder / "report.md").write_text("\n".join(self.report) + "\n")
        return 1 if self.wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0", help="as `hone devices` lists them")
    parser.add_argument("--report", default="gpu_day", help="folder for the report (default: %(default)s)")
    parser.add_argument("--hone", default=str(ROOT / "build" / "hone"))
    parser.add_argument("--samples", type=int, default=5, help="random configs of each variant that are checked")
    parser.add_argument("--budget", default="30s", help="for tuning each timed problem")
    parser.add_argument("--check", nargs="*", default=CHECKED, metavar="PROBLEM")
    parser.add_argument("--time", nargs="*", default=TIMED, metavar="PROBLEM")
    parser.add_argument("--count", nargs="*", default=COUNTED, metavar="PROBLEM")
    options = parser.parse_args()
    if not os.access(options.hone, os.X_OK):
        sys.exit(f"gpu_day: {options.hone} is not there; scripts/build.sh makes it")
    began = time.time()
    day = Day(options)
    day.describe()
    day.check()
    day.tune()
    day.count()
    return day.finish(began)


if __name__ == "__main__":
    sys.exit(main())
