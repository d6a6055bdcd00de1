"""The results of compare.py as text, as the README's table and as a picture."""

import re
import statistics


def rows(case):
    """What is said of each contender; the first is the one that the others are compared with."""
    first = case["contenders"][0]["seconds"]
    for contender in case["contenders"]:
        measured = [(seconds, case["flops"] / seconds / peak, seconds / base)
                    for seconds, peak, base in zip(contender["seconds"], peaks_beside(case, contender), first)
                    if seconds is not None and base is not None]
        seconds, of_peak, ratios = zip(*measured)
        median = statistics.median(seconds)
        yield {"name": contender["name"], "seconds": median, "low": min(seconds), "high": max(seconds),
               "images_per_s": case["batch"] / median, "gflops": case["flops"] / median * 1e-9,
               "of_peak": statistics.median(of_peak), "ratio": statistics.median(ratios), "ratio_low": min(ratios),
               "ratio_high": max(ratios), "memory": contender["memory"]}


def peaks_beside(case, contender):
    """The FMA peak of each round, on the contender's number of threads."""
    return case["peak"][str(contender["threads"])]


def versions(results):
    """By contender, the names and versions that its workers gave."""
    return {contender["name"]: contender["version"] for case in results["cases"] for contender in case["contenders"]}


def conditions(results):
    threads = max(contender["threads"] for case in results["cases"] for contender in case["contenders"])
    peaks = [peak * 1e-9 for case in results["cases"] for peak in case["peak"][str(threads)]]
    return (f"{results['processor']}, {threads} thread{'s' * (threads > 1)}; medians of {results['rounds']} interleaved "
            f"rounds; FMA peak {statistics.median(peaks):.0f} GFLOP/s ({min(peaks):.0f}–{max(peaks):.0f})")


def milliseconds(seconds):
    return f"{seconds * 1e3:.{0 if seconds >= 0.1 else 1 if seconds >= 0.01 else 2}f}"


def text(results):
    names = versions(results)
    lines = [f"{results['date']}, {conditions(results)}", ""]
    lines += [f"  {name}: {version}" for name, version in names.items()]
    lines += ["", "GFLOP/s count the direct algorithm's multiplications and additions, whichever algorithm runs. Of peak",
              "and the last column, time over the first contender's, are taken within a round: medians (lowest–highest).",
              "", f"{'':22}{'ms':>9}  {'lowest–highest':>17}{'images/s':>10}{'GFLOP/s':>9}{'of peak':>9}{'memory':>10}"
              f"  × {next(iter(names))}"]
    for case in results["cases"]:
        lines += ["", case["name"]]
        for row in rows(case):
            spread = f"{row['low'] * 1e3:.2f}–{row['high'] * 1e3:.2f}"
            lines.append(f"  {row['name']:20}{row['seconds'] * 1e3:9.2f}  {spread:>17}{row['images_per_s']:10.1f}"
                         f"{row['gflops']:9.1f}{row['of_peak']:9.0%}{row['memory'] / 2**20:6.0f} MiB"
                         f"  {row['ratio']:.2f} ({row['ratio_low']:.2f}–{row['ratio_high']:.2f})")
    return "\n".join(lines)


def label(case):
    """TrainStep/resnet18/224/batch:32 → training step, ResNet-18, 224², batch 32."""
    match = re.fullmatch(r"(TrainStep|Inference)/(\w+)/(\d+)/batch:(\d+)", case["name"])
    if not match:
        return case["name"]
    kind = {"TrainStep": "training step", "Inference": "inference"}[match[1]]
    model = {"mobilenet_v2": "MobileNetV2"}.get(match[2], match[2].replace("resnet", "ResNet-"))
    return f"{kind}, {model}, {match[3]}², batch {match[4]}"


def markdown(results):
    """A row a case, a column a contender."""
    named = versions(results)
    names = list(named)
    others = ", ".join(dict.fromkeys(named[name] for name in names[1:]))
    lines = [f"{results['date']}, {conditions(results)}. {others}. {names[0]}'s rate is effective, × the FMA peak; the "
             f"others' times are × {names[0]}'s.", "",
             "| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for case in results["cases"]:
        cells = dict.fromkeys(names, "")
        for row in rows(case):
            relation = f"**{row['of_peak']:.2f} × peak**" if row["name"] == names[0] else f"{row['ratio']:.2f} ×"
            cells[row["name"]] = f"{milliseconds(row['seconds'])} ms, {relation}"
        lines.append(f"| {label(case)} | " + " | ".join(cells.values()) + " |")
    return "\n".join(lines)


def plot(results, path):
    """Effective rates over the FMA peak, a group of bars a case."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "peers", "font.family": "sans-serif"})
    from matplotlib import pyplot

    names = list(versions(results))
    colors = dict(zip(names, ["#0b6e4f", "#d1495b", "#edae49", "#8d96a3", "#00798c", "#66418b", "#a44a3f"]))
    bars = sum(len(case["contenders"]) + 1 for case in results["cases"])
    figure, axes = pyplot.subplots(figsize=(8, 0.6 + 0.19 * bars))
    y, ticks = 0, []
    for case in results["cases"]:
        top = y
        for row in rows(case):
            axes.barh(y, row["of_peak"], height=0.9, color=colors[row["name"]])
            axes.text(row["of_peak"], y, f" {milliseconds(row['seconds'])} ms", va="center", fontsize=7)
            y += 1
        ticks.append(((top + y - 1) / 2, label(case)))
        y += 1
    axes.axvline(1, color="black", linewidth=0.8, linestyle=":")
    axes.set_yticks(*zip(*ticks), fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("effective rate ÷ FMA peak")
    axes.legend([pyplot.Rectangle((0, 0), 1, 1, color=colors[name]) for name in names], names, fontsize=8,
                loc="lower center", bbox_to_anchor=(0.4, 1), ncols=len(names), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
