#!/usr/bin/env python3
"""Holds the performance model against times that others recorded on real GPUs.

  tests/model/benchmark.py --recorded DIR [--hone build/hone] [--samples N] [--seed S] [--only NAME]

DIR holds Kernel Tuner cache files (convolution-A100.json.gz ...) and kernels/{convolution,gemm}.cu, CUDA sources that stand for what was timed.
Each kernel becomes an operator of a user's own in a --templates folder: its text as it is, its -D parameters as Hone's. A seeded sample of every
space is built and modelled by `hone build --as GPU --samples N --json`, and compared with the recorded times. Nothing is fitted here or there.

Prints per space: the rank correlation (Spearman) of modelled and recorded times; the share of the sample's optimum that the best of the model's
first 1, 5, 10 and 50 reaches, and in brackets what as many random draws reach on average, exactly; failures told rightly, wrongly, and missed.
"""
import argparse
import gzip
import json
import math
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

TOPS = (1, 5, 10, 50)

CONVOLUTION = {
    "op": "recorded_convolution",
    "summary": "output[y, x] = sum over 15 x 15 of filter * input",
    "dims": [{"name": "height", "min": 1, "max": 65536}, {"name": "width", "min": 1, "max": 65536}],
    "words": [],
    "args": [
        {"name": "output", "kind": "out", "type": "f32", "shape": ["height", "width"]},
        {"name": "input", "kind": "in", "type": "f32", "shape": ["height + 14", "width + 14"]},
        {"name": "filter", "kind": "in", "type": "f32", "shape": ["15", "15"]},
    ],
    "flops": "2 * 225 * height * width",
    "compute": "f32",
    "rows": "height",
    "tolerance": [["1", 1e-4]],
}
GEMM = {
    "op": "recorded_gemm",
    "summary": "c[n, m] = alpha * sum over k of a[k, m] * b[k, n] + beta * c",
    "dims": [{"name": d, "min": 16, "max": 65536} for d in "mnk"],
    "words": [],
    "args": [
        {"name": "a", "kind": "in", "type": "f32", "shape": ["k", "m"]},
        {"name": "b", "kind": "in", "type": "f32", "shape": ["k", "n"]},
        {"name": "c", "kind": "out", "type": "f32", "shape": ["n", "m"]},
        {"name": "alpha", "kind": "scalar", "type": "f32", "default": 1.0},
        {"name": "beta", "kind": "scalar", "type": "f32", "default": 1.0},
    ],
    "flops": "2 * m * n * k",
    "compute": "f32",
    "rows": "n",
    "tolerance": [["1", 1e-4]],
}
REFERENCE = 'extern "C" void hone_reference(const Args &, i64, i64) {}\n'  # nothing is checked here


class Kernel:
    """A recorded kernel as templates: one per value of the parameters that its preprocessor reads."""

    def __init__(self, op, problem, file, entry, call, bounds, launch, parameters, switches, rules):
        self.op, self.problem, self.file, self.entry, self.call, self.bounds = op, problem, file, entry, call, bounds
        self.launch, self.parameters, self.switches, self.rules = launch, parameters, switches, rules

    def variant(self, source, values, switch):
        """`values`: of each parameter, in the part of the space where the switches are `switch`."""
        lines = ["serves   cuda"]
        lines += [f"param    {p} {' '.join(map(str, values[p]))}" for p in self.parameters]
        lines += [f"require  {rule}" for rule in self.rules]
        lines += [f"launch   main {self.launch}", "start    " + ",".join(f"{p}={values[p][0]}" for p in self.parameters)]
        text = source
        for name in list(self.parameters) + list(switch):
            text = re.sub(rf"#ifndef {name}\n#define {name} .*\n#endif\n", "", text)
        defines = [f"#define {name} {value}" for name, value in switch.items()]
        defines += [f"#define {name} int({name})" for name in self.parameters]  # as -Dname=value was: an int
        function = f"static __device__ __forceinline__ void {self.entry}("
        text, count = re.subn(rf'(?:extern "C" )?__global__ void(?: __launch_bounds__\([^)]*\))?\s+{self.entry}\(', function, text)
        assert count == 1, self.entry
        main = f'extern "C" __global__ void {self.bounds}hone_main(const __grid_constant__ Args a) {{ {self.call}; }}\n'
        return "".join(f"//! {line}\n" for line in lines) + "\n".join(defines) + "\n" + text + main


KERNELS = {
    "convolution": Kernel(
        CONVOLUTION, "recorded_convolution:height=4096,width=4096", "convolution.cu", "convolution_kernel",
        "convolution_kernel(a.output, const_cast<float *>(a.input), const_cast<float *>(a.filter))", "",
        "ceil_div(width, block_size_x * tile_size_x) ceil_div(height, block_size_y * tile_size_y) 1 block_size_x,block_size_y",
        ["block_size_x", "block_size_y", "tile_size_x", "tile_size_y", "use_padding"], ["use_shmem", "read_only"], []),
    "gemm": Kernel(
        GEMM, "recorded_gemm:m=4096,n=4096,k=4096", "gemm.cu", "gemm_kernel",
        "gemm_kernel(int(a.m), int(a.n), int(a.k), a.alpha, a.beta, reinterpret_cast<const OperandA::V *>(a.a), "
        "reinterpret_cast<const OperandB::V *>(a.b), reinterpret_cast<OperandA::V *>(a.c))", "__launch_bounds__(MDIMC * NDIMC) ",
        "m / MWG n / NWG 1 MDIMC,NDIMC",
        ["MWG", "NWG", "KWG", "MDIMC", "NDIMC", "MDIMA", "NDIMB", "KWI", "VWM", "VWN", "STRM", "STRN"], ["SA", "SB"], []),
}
RULES = {
    "convolution": lambda switch: ["block_size_x * block_size_y <= 1024", "use_padding == 0 || block_size_x % 32 != 0"] + (
        ["(block_size_x * tile_size_x + 14) * (block_size_y * tile_size_y + 14) < 12288"] if switch["use_shmem"] else ["use_padding == 0"]),
    "gemm": lambda switch: [
        "KWG % KWI == 0", "MWG % (MDIMC * VWM) == 0", "MWG % (MDIMA * VWM) == 0", "NWG % (NDIMC * VWN) == 0", "NWG % (NDIMB * VWN) == 0",
        "KWG % max(1, MDIMC * NDIMC / MDIMA) == 0", "KWG % max(1, MDIMC * NDIMC / NDIMB) == 0"],
}
SPACES = [  # recorded file, kernel, target, GPU
    ("convolution-A100", "convolution", "cuda/sm_80", "a100-40"),
    ("convolution-A4000", "convolution", "cuda/sm_86", "a4000"),
    ("gemm-RTX2080Ti", "gemm", "cuda/sm_75", "rtx2080ti"),
]


def ranks(values):
    order = sorted(range(len(values)), key=lambda i: values[i])
    result, i = [0.0] * len(values), 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in order[i:j + 1]:
            result[k] = (i + j) / 2
        i = j + 1
    return result


def spearman(a, b):
    return statistics.correlation(ranks(a), ranks(b))


def random_best(times, draws):
    """The exact mean of best / (the least of `draws` times drawn without putting back)."""
    ordered, n = sorted(times), len(times)
    return sum(ordered[0] / ordered[i] * math.comb(n - 1 - i, draws - 1) for i in range(n - draws + 1)) / math.comb(n, draws)


def modelled(args, name, target, gpu, rows, folder):
    """Config of the recording (as a tuple) -> seconds, or None for a failure; and milliseconds that the model took."""
    kernel = KERNELS[name]
    source = (args.recorded / "kernels" / kernel.file).read_text()
    times, took = {}, []
    for switch in sorted({tuple(row[s] for s in kernel.switches) for row in rows}):
        part = [row for row in rows if tuple(row[s] for s in kernel.switches) == switch]
        fixed = dict(zip(kernel.switches, switch))
        values = {p: sorted({row.get(p, 0) for row in part}) for p in kernel.parameters}
        kernel.rules = RULES[name](fixed)
        home = folder / "_".join([name, target.replace("/", "_"), *map(str, switch)])
        (home / kernel.op["op"]).mkdir(parents=True)
        (home / kernel.op["op"] / "op.json").write_text(json.dumps(kernel.op))
        (home / kernel.op["op"] / "reference.cpp").write_text(REFERENCE)
        (home / kernel.op["op"] / "kernel.cu").write_text(kernel.variant(source, values, fixed))
        count = max(1, round(args.samples * len(part) / len(rows)))
        command = [str(args.hone), "build", kernel.problem, "--templates", str(home), "--target", target, "--as", gpu, "--samples", str(count),
                   "--seed", str(args.seed), "--json", "--db", str(home / "built.db")]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode not in (0, 1):
            sys.exit(done.stderr)
        for line in done.stdout.splitlines():
            built = json.loads(line)
            config = dict(item.split("=") for item in built["config"].split(","))
            key = tuple(int(config[p]) for p in kernel.parameters) + switch
            times[key] = built["modelled_ns"] * 1e-9 if built["status"] == "built" else None
            if built["status"] == "built" and built.get("model_ms"):
                took.append(built["model_ms"])
    return times, took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recorded", type=pathlib.Path, required=True)
    parser.add_argument("--hone", type=pathlib.Path, default=pathlib.Path("build/hone"))
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a space, as in convolution-A100")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for file, name, target, gpu in SPACES:
            if args.only and args.only != file:
                continue
            with gzip.open(args.recorded / f"{file}.json.gz") as stream:
                rows = list(json.load(stream)["cache"].values())
            kernel = KERNELS[name]
            recorded = {tuple(row.get(p, 0) for p in kernel.parameters + kernel.switches): row["time"] for row in rows}
            times, took = modelled(args, name, target, gpu, rows, pathlib.Path(folder))
            pairs, right, wrong, missed, unknown = [], 0, 0, 0, 0
            for key, seconds in times.items():
                if key not in recorded:
                    unknown += 1
                    continue
                failed = isinstance(recorded[key], str)
                right += seconds is None and failed
                wrong += seconds is None and not failed
                missed += seconds is not None and failed
                if seconds is not None and not failed:
                    pairs.append((seconds, recorded[key] * 1e-3))
            ordered = [actual for _, actual in sorted(pairs)]
            best = min(ordered)
            tops = ", ".join(f"{k}: {best / min(ordered[:k]):.3f} ({random_best(ordered, k):.3f})" for k in TOPS if k <= len(ordered))
            error = statistics.median(math.log(told / actual) for told, actual in pairs)
            print(f"{file} on {target} as {gpu}: {len(pairs)} timed configs of a sample of {len(times)} (seed {args.seed})\n"
                  f"  rank correlation {spearman(*zip(*pairs)):.3f}\n  best of the model's first {tops}\n"
                  f"  failures: {right} right, {wrong} wrong, {missed} missed; not recorded: {unknown}\n"
                  f"  log(modelled / recorded): median {error:+.2f}; model: median {statistics.median(took or [0]):.1f} ms a config", flush=True)


if __name__ == "__main__":
    main()
