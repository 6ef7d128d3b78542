#!/usr/bin/env python3
"""The one command for the day a GPU is there: tests/gpu_day.py [--device cuda:0] [--report FOLDER].

Checks every GPU kernel against its reference on the device, tunes and times it, compares what the
simulator counts with what the device counts (Nsight Compute, where `ncu` is installed and
permitted), and writes FOLDER/report.md, its raw rows as FOLDER/rows.jsonl and the database
FOLDER/tuning.db. Exit status: 0 when every kernel is right and every problem has its time and its
counts, 1 otherwise; the report ends with what failed. Needs build/hone (scripts/build.sh) and the
runtime compiler (scripts/fetch_gpu_compilers.sh); nothing but Python's own library.
HONE_CUDA_DRIVER=standin tries all this without a GPU.
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
    "attention:q=1,kv=777,heads=32,kv_heads=8,d=128", "attention:q=70,kv=200,heads=8,kv_heads=2,d=64,x=f16",
    "attention:q=1,kv=300,heads=8,kv_heads=2,d=128,x=f16,c=s8", "gemm:m=33,n=200,k=256,x=f16,w=f16",
    "gemm:m=5,n=200,k=256,x=s8,w=s8", "gemm:m=1,n=256,k=512,x=f16,w=q4_0", "gemm:m=65,n=256,k=512,x=bf16,w=q8_0",
    "rope:tokens=7,heads=3,d=64", "glu:rows=3,cols=1537,x=f16", "argmax:rows=3,cols=50257",
    "embedding:tokens=5,cols=96,vocab=70,table=q4_1,y=f16",
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


def number_of(text):
    """A profiler's number; None where it has none to give ("n/a")."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


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
        self.report = open(self.folder / "report.md", "w")
        self.failures = []
        self.arch = ""

    def keep(self, step, rows):
        for row in rows:
            self.raw.write(json.dumps({"step": step, **row}) + "\n")
        self.raw.flush()

    def say(self, text):
        print(text, flush=True)
        print(text, file=self.report, flush=True)

    def fail(self, step, problem, why):
        """Notes a failure; returns what a cell of a table says of it."""
        why = " ".join(why.split()) or "no reason was given"
        self.failures.append(f"{step} {problem}: {why[-300:]}")
        return f"FAILED: {why[-120:]}"

    def hone(self, *arguments, **more):
        return rows_of([self.options.hone, *arguments, "--json"], **more)

    def describe(self):
        rows, status, why = self.hone("devices", "--measure", "--budget", self.options.ceilings, "--db", self.database)
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
            unfinished = not rows or (status != 0 and not bad)
            results.append((problem, len(rows), self.fail("check", problem, why) if unfinished else len(bad)))
            for row in bad:
                cell = self.fail("check", problem, f"{row['config']}: {row['status']} {row['reason']}")
                results.append(("", row["variant"], cell))
        self.say(table(["problem", "configs", "wrong"], results) + "\n")

    def tune(self):
        self.say("## Times\n")
        results = []
        for problem in self.options.time:
            rows, status, why = self.hone("tune", problem, "--device", self.options.device, "--db", self.database,
                                          "--budget", self.options.budget)
            self.keep("tune", rows)
            # What wasn't tuned would be timed with a config that nobody chose.
            winner = next((row for row in rows if row.get("kind") == "winner"), {})
            if status != 0 or winner.get("status") != "ok":
                cell = self.fail("tune", problem, winner.get("reason") or why)
                results.append((problem, "", cell, "", "", ""))
                continue
            timed, status, why = self.hone("bench", problem, "--device", self.options.device, "--db", self.database)
            self.keep("bench", timed)
            if status != 0 or not timed:
                results.append((problem, "", self.fail("bench", problem, why), "", "", ""))
            for row in timed:
                share = f"{100 * row['fraction']:.0f} %" if row.get("fraction") else "?"
                results.append((problem, row["variant"], f"{row['median_ns'] / 1e3:.2f} us", row["timed"], share,
                                row["config"]))
        self.say(table(["problem", "variant", "time", "how", "of limit", "config"], results) + "\n")

    def count(self):
        self.say("## The simulator's counts against the device's\n")
        if not self.options.device.startswith("cuda"):
            self.say("Not compared: only the simulator of PTX counts what a profiler does.\n")
            return
        profiler = shutil.which("ncu")
        if profiler is None:
            self.say("Not counted on the device: `ncu` (Nsight Compute) is not installed.\n")
        results = []
        for problem in self.options.count:
            simulated, status, why = self.hone("check", problem, "--target", f"cuda/{self.arch}", "--samples", "0")
            self.keep("simulated", simulated)
            if status != 0 or not any(row.get("counters") for row in simulated):
                reasons = [row["reason"] for row in simulated if row.get("reason")]
                results.append((problem, self.fail("count", problem, " ".join([why] + reasons[:1])), "", "", "", "", ""))
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
            number = number_of(line["Metric Value"])
            if number is None:
                continue
            ids.add(line["ID"])
            values[line["Metric Name"]] = values.get(line["Metric Name"], 0) + number
        if not ids:
            self.say(f"`ncu` counted nothing for {problem} {row['variant']}: {done.stdout.strip()[-200:]}\n")
        return {name: value / len(ids) for name, value in values.items()} if ids else {}

    def finish(self, began):
        if self.failures:
            self.say("## Failed\n")
            self.say("\n".join(f"- {failure}" for failure in self.failures) + "\n")
        verdict = f"{len(self.failures)} failures" if self.failures else "every kernel is right and timed"
        self.say(f"{verdict}; {time.time() - began:.0f} s; report in {self.folder / 'report.md'}")
        return 1 if self.failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0", help="as `hone devices` lists them")
    parser.add_argument("--report", default="gpu_day", help="folder for the report (default: %(default)s)")
    parser.add_argument("--hone", default=str(ROOT / "build" / "hone"))
    parser.add_argument("--samples", type=int, default=5, help="random configs of each variant that are checked")
    parser.add_argument("--budget", default="30s", help="for tuning each timed problem (default: %(default)s)")
    parser.add_argument("--ceilings", default="10s", help="for measuring what each device can do (default: %(default)s)")
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
