#!/usr/bin/env python3
"""The whole proof of the GPU kernels without a GPU: tests/gpu_proof.py [--target cuda/sm_80 ...] [--report FOLDER].

For each target: `hone check` of a model's problems in several element types, then of odd and tiny
shapes of every operator in every type (start config, corners of the space, seeded samples, all of
the simulator's checks); then `hone build` of start configs, none of which may spill, and of samples,
all of which must compile within the target's limits. Writes FOLDER/report.md and FOLDER/rows.jsonl;
exit status 0 when nothing failed. Takes hours: ctest runs a selection of the same. Needs build/hone
and the runtime compilers (scripts/fetch_gpu_compilers.sh); nothing but Python's own library.
"""
import argparse
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGETS = ["cuda/sm_75", "cuda/sm_80", "cuda/sm_86", "cuda/sm_89", "cuda/sm_90a", "cuda/sm_100a",
           "cuda/sm_120a", "hip/gfx906", "hip/gfx908", "hip/gfx90a", "hip/gfx1030"]
FLOATS = ["f32", "f16", "bf16"]
# How a model is used: activations, weights, cache.
USES = [[], ["--activation", "f16", "--weight", "f16"],
        ["--activation", "bf16", "--weight", "bf16", "--kv", "bf16"],
        ["--activation", "f16", "--weight", "q8_0"], ["--activation", "bf16", "--weight", "q4_0"]]
EPILOGUES = itertools.cycle(["none", "bias", "residual", "bias_residual", "bias_relu", "bias_gelu",
                             "bias_gelu_tanh", "silu_gate", "gelu_gate", "gelu_tanh_gate"])
GEMM_TYPES = [("f32", "f32"), ("f16", "f16"), ("bf16", "bf16"), ("f32", "bf16"), ("f16", "f32"),
              ("s8", "s8"), ("f16", "q8_0"), ("bf16", "q8_0"), ("f32", "q8_0"), ("f16", "q4_0"),
              ("bf16", "q4_1"), ("f32", "q4_1")]
ATTENTIONS = ["q=1,kv=1,heads=1,d=64", "q=1,kv=777,heads=32,kv_heads=2,d=128,layout=paged,page=64",
              "batch=3,q=5,kv=37,cap=64,heads=14,kv_heads=2,d=64", "q=33,kv=250,heads=12,kv_heads=4,d=80,window=50",
              "q=1,kv=300,heads=15,kv_heads=3,d=96,alibi=yes", "q=19,kv=65,heads=5,kv_heads=1,d=256,softcap=yes,layout=heads",
              "q=70,kv=70,heads=3,d=40,mask=full"]


def odd_problems():
    """Odd and tiny shapes of every operator, every element type."""
    problems = []
    for (x, w), (m, n, k) in itertools.product(
            GEMM_TYPES, [(1, 1, 32), (1, 130, 96), (5, 77, 40), (33, 64, 544), (65, 129, 288)]):
        k = k if w in FLOATS + ["s8"] else (k + 31) // 32 * 32
        for y in sorted({"f32", x} - {"s8"}):
            problems.append(f"gemm:m={m},n={n},k={k},x={x},w={w},y={y},epilogue={next(EPILOGUES)}")
    for x, c in [("f32", "f16"), ("f32", "f32"), ("f16", "f16"), ("bf16", "bf16"), ("f16", "s8"), ("bf16", "f16")]:
        problems += [f"attention:{shape},x={x},c={c}" for shape in ATTENTIONS]
    for x in FLOATS:
        problems += [f"norm:{shape},x={x}" for shape in (
            "rows=1,cols=1", "rows=37,cols=577", "rows=5,cols=4096,kind=layer_bias",
            "rows=3,cols=2048,residual=add,kind=rms1", f"rows=2,cols=96,weight={x}")]
        problems += [f"softmax:{shape},x={x}" for shape in (
            "rows=1,cols=1", "rows=33,cols=1000", "rows=2,cols=50257,form=log", "rows=6,cols=100,causal=yes,heads=2,softcap=yes",
            "rows=7,cols=130,mask=full")]
        problems += [f"rope:{shape},x={x}" for shape in (
            "tokens=1,heads=1,d=2", "tokens=7,heads=3,d=10,rot=6", "tokens=3,heads=5,d=128,style=interleaved")]
        problems += [f"glu:{shape},x={x}" for shape in ("rows=1,cols=1", "rows=3,cols=1537,act=gelu,form=two")]
        problems += [f"argmax:{shape},x={x}" for shape in ("rows=5,cols=1", "rows=3,cols=50257")]
        problems += [f"embedding:tokens=5,cols=96,vocab=70,table={table},y={x}"
                     for table in FLOATS + ["q8_0", "q4_0", "q4_1"]]
    return problems


class Proof:
    def __init__(self, options):
        self.options = options
        folder = pathlib.Path(options.report)
        folder.mkdir(parents=True, exist_ok=True)
        self.raw = open(folder / "rows.jsonl", "w")
        self.report = open(folder / "report.md", "w")
        self.failures = 0

    def say(self, text):
        print(text, flush=True)
        print(text, file=self.report, flush=True)

    def fail(self, what):
        self.failures += 1
        self.say(f"FAILED {what}")

    def hone(self, *words):
        """The JSON lines of a command; what went wrong without a line of its own."""
        try:
            done = subprocess.run([self.options.hone, *words, "--json"], capture_output=True, text=True,
                                  timeout=self.options.limit)
        except subprocess.TimeoutExpired:
            return [], f"no end after {self.options.limit} s"
        rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        for row in rows:
            self.raw.write(json.dumps(row) + "\n")
        self.raw.flush()
        return rows, "" if rows else f"status {done.returncode}: {done.stderr.strip()[-300:]}"

    def check(self, target, title, *words):
        begin = time.monotonic()
        rows, trouble = self.hone("check", "--target", target, "--samples", str(self.options.samples), *words)
        for row in rows:
            if not row["pass"]:
                self.fail(f"{target} {row['problem']} {row['variant']} {row['config']}: {row.get('reason', '')[:200]}")
        if trouble:
            self.fail(f"{target} {title}: {trouble}")
        return len(rows), time.monotonic() - begin

    def checks(self, target):
        for use in USES:
            title = " ".join([self.options.model, *use])
            count, seconds = self.check(target, title, "--model", self.options.model, *use)
            self.say(f"{target} {title}: {count} configs checked, {seconds:.0f} s")
        counts = [self.check(target, problem, problem) for problem in odd_problems()]
        self.say(f"{target} odd and tiny shapes: {sum(c for c, _ in counts)} configs of {len(counts)} problems checked, "
                 f"{sum(s for _, s in counts):.0f} s")

    def builds(self, target):
        with tempfile.TemporaryDirectory() as folder:
            database = str(pathlib.Path(folder) / "built.db")
            problems = odd_problems() + ["gemm", "attention", "norm", "softmax", "rope", "glu", "argmax", "embedding"]
            words = ["build", *problems, "--target", target, "--db", database]
            starts, trouble = self.hone(*words)
            if trouble:
                self.fail(f"{target} build: {trouble}")
            for row in starts:
                if row["spills"]:
                    self.fail(f"{target} {row['problem']} {row['variant']} start config spills {row['spills']} bytes")
            rows, trouble = self.hone(*words, "--samples", str(self.options.builds))
            if trouble:
                self.fail(f"{target} build: {trouble}")
            for row in rows:
                if row["status"] != "built":
                    self.fail(f"{target} {row['problem']} {row['variant']} {row['config']}: {row['reason'][-200:]}")
            spilling = sum(1 for row in rows if row["spills"])
            self.say(f"{target}: {len(rows)} configs built, {spilling} of them spill")

    def run(self):
        for target in self.options.target:
            self.checks(target)
            self.builds(target)
        self.say(f"{self.failures} failures")
        return 1 if self.failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", nargs="+", default=TARGETS)
    parser.add_argument("--hone", default=str(ROOT / "build" / "hone"))
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--samples", type=int, default=5, help="checked per variant, besides start and corners")
    parser.add_argument("--builds", type=int, default=30, help="compiled per variant, besides the start")
    parser.add_argument("--limit", type=float, default=7200, help="seconds for one command")
    parser.add_argument("--report", default="gpu_proof")
    return Proof(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
