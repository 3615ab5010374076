"""The results of training_step.py as a table, a figure and JSON."""
import importlib.metadata
import os
import pathlib
import platform
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # a plain checkout will do

import arithmetic  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from tfxmr.core.files import to_json, write_text
from tfxmr.reports.figures import style

CLOCKS = ("wall", "processor")
HEAD = (
    "| batch | contestant | steps/s | samples/s | range | tfxmr is faster by | GFLOP/s | of peak | "
    "samples/s by processor time | tfxmr is faster by | of peak |\n|" + "---|" * 11
)


def machine(torch):
    """What the figures depend on."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if "model name" in line]
    versions = {name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "numpy")}
    return {
        "processor": names[0] if names else platform.processor(), "processors": os.cpu_count(),
        "load": os.getloadavg()[0], "versions": versions | {"torch": torch},
    }


def rate(run, clock):
    """Steps a second; by processor time, those of all processors undisturbed."""
    return run["steps"] / (run["wall"] if clock == "wall" else run["processor"] / os.cpu_count())


def rows(method, groups, peaks):
    """One dict for each batch, contestant and mode, from the runs of all groups."""
    found = {}
    for runs in groups:
        own = [run for run in runs if (run["contestant"], run["mode"]) == ("tfxmr", "resident")]
        reference = {(run["batch"], run["round"]): run for run in own}
        for run in runs:
            key = run["batch"], run["contestant"], run["mode"]
            entry = found.setdefault(key, {f"{what} {c}": [] for what in ("rates", "ratios") for c in CLOCKS})
            for clock in CLOCKS:
                entry[f"rates {clock}"].append(rate(run, clock))
                entry[f"ratios {clock}"].append(rate(reference[run["batch"], run["round"]], clock) / rate(run, clock))
    table = []
    for (batch, contestant, mode), entry in sorted(found.items(), key=lambda item: item[0][0]):
        row = {"batch": batch, "contestant": contestant, "mode": mode}
        for clock in CLOCKS:
            rates, ratios = entry[f"rates {clock}"], entry[f"ratios {clock}"]
            steps = statistics.median(rates)
            gflops = steps * 2e-9 * arithmetic.step(method, batch)
            row[clock] = {
                "steps_per_second": steps, "samples_per_second": steps * batch, "least": min(rates) * batch,
                "most": max(rates) * batch, "ratio": statistics.median(ratios), "least_ratio": min(ratios),
                "most_ratio": max(ratios), "gflops": gflops, "of_peak": gflops / peaks[clock], "rounds": len(rates),
            }
        table.append(row)
    return table


def label(row):
    """A row's name: tfxmr's modes are told apart."""
    return f"{row['contestant']}, {row['mode']}" if row["mode"] == "fit" else row["contestant"]


def line(row):
    """A row as Markdown."""
    w, p = row["wall"], row["processor"]
    digits = 0 if w["samples_per_second"] >= 1000 else 1
    return (
        f"| {row['batch']} | {label(row)} | {w['steps_per_second']:.3g} | {w['samples_per_second']:.{digits}f} "
        f"| {w['least']:.{digits}f} to {w['most']:.{digits}f} | {w['ratio']:.2f} ({w['least_ratio']:.2f} to "
        f"{w['most_ratio']:.2f}) | {w['gflops']:.0f} | {w['of_peak']:.0%} | {p['samples_per_second']:.{digits}f} "
        f"| {p['ratio']:.2f} | {p['of_peak']:.0%} |"
    )


def input_lines(found, table):
    """The input pipeline's part of the step, a line a batch size."""
    lines = []
    for batch, run in found["input"].items():
        step = next(r for r in table if r["batch"] == int(batch) and label(r) == "tfxmr, fit")["processor"]
        own = run["processor"] / run["steps"]
        share = own * step["steps_per_second"] / os.cpu_count()
        lines.append(f"- batch {batch}: {1e3 * own:.2f} ms of processor time a batch, {share:.2%} of the step's")
    return lines


def memory_lines(memory):
    """Peak memory against what the step has to hold."""
    needed = sum(memory[k] for k in ("weights", "gradients", "slots", "data"))
    own = memory["peak"] - memory["imported"]
    parts = ", ".join(f"{k} {memory[k] / 2**20:.0f}" for k in ("weights", "gradients", "slots", "data"))
    return [
        f"- DANZCR, batch 64: peak {memory['peak'] / 2**20:.0f} MiB, {memory['imported'] / 2**20:.0f} of them after "
        f"the imports. Weights, gradients, Adam slots and data are {needed / 2**20:.0f} MiB ({parts}).",
        f"- Ratio {memory['peak'] / needed:.2f}, without the imports {own / needed:.2f}; the aim is 1.3.",
    ]


def text(facts):
    """All results as Markdown."""
    m, best = facts["machine"], facts["best"]
    lines = [
        "# Training steps", "",
        f"{m['processor']}, {m['processors']} processors, load {m['load']:.1f} at the start; "
        + ", ".join(f"{k} {v}" for k, v in m["versions"].items() if v) + f"; {facts['seconds']} s in all.", "",
        "Medians over rounds in which the contestants take turns, with ranges. GFLOP/s count only the products that "
        "the mathematics needs, the same for every contestant. Processor time stands for undisturbed processors: "
        "work / processor seconds x processors. A thread that waits by spinning counts as busy, so that beside other "
        "work it understates PyTorch.", "",
        f"Peak of matrix products: {best['wall'][1]:.0f} GFLOP/s ({best['wall'][0]}), by processor time "
        f"{best['processor'][1]:.0f} ({best['processor'][0]}).",
    ]
    for method, found in facts["methods"].items():
        flops = 2e-6 * arithmetic.step(method, 1)
        lines += ["", f"## {method}", "", f"{arithmetic.weights(method) / 1e6:.2f} M parameters, {flops:.1f} MFLOP a "
                  "pair and step, less what depends on the batch.", "", HEAD, *map(line, found["rows"])]
        lines += ["", "Input pipeline alone:", "", *input_lines(found, found["rows"])]
        lines += ["", "Check against tfxmr at small widths (losses relative, weights in units of the learning rate): "
                  + "; ".join(f"{n} {d['losses']:.0e}, {d['weights']:.0e}" for n, d in found["differences"].items())]
        for batch, parts in found["profile"].items():
            step = parts["step"]["processor"]
            own = {n: p["processor"] for n, p in parts.items() if n != "step"}
            shares = [f"{n} {used:.3f} ({used / step:.0%})" for n, used in own.items()]
            lines += ["", f"Parts of tfxmr's step at batch {batch}, each alone, in processor seconds of {step:.3f}: "
                      f"{', '.join(shares)}; the rest are products and what is element-wise."]
    return "\n".join([*lines, "", "## Memory", "", *memory_lines(facts["memory"]), ""])


@style.styled
def draw(facts):
    """Bars of samples/s by batch size, a panel a method, with the limit that the peak sets."""
    figure = Figure(figsize=(style.WIDTH, 2.3 * len(facts["methods"]) + 0.8), layout="constrained")
    axes = figure.subplots(len(facts["methods"]), squeeze=False)[:, 0]
    style.set_title(figure, "Training steps: pairs a second, by batch size")
    names = list(dict.fromkeys(label(row) for found in facts["methods"].values() for row in found["rows"]))
    for panel, (method, found) in zip(axes, facts["methods"].items(), strict=True):
        batches = list(dict.fromkeys(row["batch"] for row in found["rows"]))
        width = 0.85 / len(names)
        for i, name in enumerate(names):
            own = [row for row in found["rows"] if label(row) == name]
            x = [batches.index(row["batch"]) + (i - (len(names) - 1) / 2) * width for row in own]
            w = [row["wall"] for row in own]
            y = [r["samples_per_second"] for r in w]
            errors = [[abs(r["samples_per_second"] - r[end]) for r in w] for end in ("least", "most")]
            panel.bar(x, y, width, yerr=errors, color=style.class_colours(len(names))[i], label=name,
                      error_kw={"elinewidth": 0.7})
        for i, batch in enumerate(batches):
            limit = 1e9 * facts["best"]["wall"][1] * batch / (2 * arithmetic.step(method, batch))
            name = None if i else "peak of products"
            panel.plot([i - 0.45, i + 0.45], [limit, limit], **style.CHANCE, label=name)
        panel.set_xticks(range(len(batches)), [f"batch {b}" for b in batches])
        panel.set_ylabel(method)
    style.legend_below(figure, axes[0].get_legend_handles_labels()[0])
    return figure


def write(facts, folder):
    """Adds rows and peaks to the facts, and writes training_step.json, .md and the figure. Returns the table."""
    facts["best"] = {
        clock: max(((name, rates[clock]) for name, rates in facts["peak"].items()), key=lambda pair: pair[1])
        for clock in CLOCKS
    }
    peaks = {clock: best for clock, (_, best) in facts["best"].items()}
    for method, found in facts["methods"].items():
        found["rows"] = rows(method, found["groups"], peaks)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "training_step.json", to_json(facts))
    write_text(folder / "training_step.md", text(facts))
    style.save(draw(facts), folder, "training_step")
    return text(facts)
