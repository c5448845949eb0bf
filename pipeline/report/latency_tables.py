"""What each model took in a run of its own: by batch size and by rung, and how a larger batch pays within it."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from pipeline.deploy_records import BackendRun
from pipeline.report import formats
from pipeline.report.beside import fastest_beside
from pipeline.report.chart_style import Look, legend_below, lines, panels, styled
from pipeline.report.collect import Results
from pipeline.report.comparison import Measured, measured
from pipeline.report.names import precision_title, run_title
from pipeline.report.tables import Column, Table, listing, number, row, text


@dataclass(frozen=True)
class OwnRun:
    """Tables of one model's own run, of which no number stands beside another model's."""

    model: str
    costs: Table
    latency: Table
    gpu: Table


def own_runs(results: Results) -> list[OwnRun]:
    """Those of every model that has rungs which ran."""
    ran = [model.name for model in results.models if any(run.status == "ok" for run in model.runs)]
    return [
        OwnRun(name, cost_table(results, name), latency_table(results, name), gpu_table(results, name)) for name in ran
    ]


def cost_table(results: Results, model: str) -> Table:
    """Artefact × backend of a model that ran: what the file weighs, and what loading and running it costs."""
    benchmarks = [each.benchmark for each in results.models if each.benchmark]
    sizes = {(each.model, item.precision): item.file_size for each in benchmarks for item in each.artefacts}
    return listing(
        [rung for rung in results.rungs if rung.model == model],
        {
            text("Rung"): lambda rung: run_title(rung.run),
            number("file, MB"): lambda rung: formats.megabytes(sizes.get((rung.model, rung.run.artefact))),
            text("computes in"): lambda rung: precision_title(rung.run.precision),
            number("threads"): lambda rung: formats.count(rung.run.threads),
            number("load, ms"): lambda rung: formats.milliseconds(rung.run.load_ms),
            number("memory, MB"): lambda rung: formats.megabytes(rung.run.peak_memory_bytes),
            text("version"): lambda rung: rung.run.version,
        },
    )


def latency_table(results: Results, model: str) -> Table:
    """Backend × batch size of a model: percentiles of one call, their spread, where its time goes, and throughput."""
    items, milliseconds = [item for item in _measured(results) if item.model == model], formats.milliseconds
    # Copies to and from a device are columns only where there is one.
    copies = any(item.latency.host_to_device or item.latency.device_to_host for item in items)
    to_device: dict[Column, Callable[[Measured], str]] = {
        number("to device"): lambda item: milliseconds(item.latency.host_to_device)
    }
    from_device: dict[Column, Callable[[Measured], str]] = {
        number("from device"): lambda item: milliseconds(item.latency.device_to_host)
    }
    bounds: dict[Column, Callable[[Measured], str]] = {
        number("p90 at most"): lambda item: milliseconds(item.latency.p90_bound),
        number("p99 at most"): lambda item: milliseconds(item.latency.p99_bound),
    }
    bounded = any(item.latency.p90_bound is not None for item in items)
    return listing(
        items,
        {
            text("Rung"): lambda item: run_title(item.run),
            number("batch"): lambda item: formats.count(item.latency.batch_size),
            number("p50"): lambda item: milliseconds(item.latency.p50),
            number("p90"): lambda item: milliseconds(item.latency.p90),
            number("p95"): lambda item: milliseconds(item.latency.p95),
            number("p99"): lambda item: milliseconds(item.latency.p99),
            **(bounds if bounded else {}),
            number("spread"): lambda item: formats.percent(item.latency.spread) + " noisy" * item.latency.noisy,
            number("pre"): lambda item: milliseconds(item.latency.preprocessing),
            **(to_device if copies else {}),
            number("inference"): lambda item: milliseconds(item.latency.inference),
            **(from_device if copies else {}),
            number("post"): lambda item: milliseconds(item.latency.postprocessing),
            number("decoding"): lambda item: milliseconds(item.latency.decoding),
            number("from files"): lambda item: milliseconds(item.latency.from_files),
            number("images/s"): lambda item: formats.rate(item.latency.images_per_second),
        },
    )


def noise_sentence(results: Results) -> str:
    """How many measurements moved too much to be trusted to the last digit."""
    found = _measured(results)
    noisy = sum(item.latency.noisy for item in found)
    limit = formats.percent(results.params.benchmark.noise_limit)
    if not noisy:
        return f"No measurement is noisy: the quartiles of each are within {limit} of its median."
    return (
        f"{noisy} of {len(found)} measurements are noisy (quartiles more than {limit} of the median apart): other "
        "work ran on this machine, or its clock moved; measure them again before a decision hangs on them."
    )


def sweep_sentence(results: Results) -> str:
    """Which limit ended the sweep over batch sizes, where the time of a call did; empty where it never did."""
    limit = results.params.benchmark.max_call_ms
    if limit is None or not any(run.sweep_end == "time" for _, run in results.rungs):
        return ""
    return f"Once a call takes longer than {formats.milliseconds(limit)} ms, no larger batch is measured."


def unmeasured_table(results: Results) -> Table:
    """Batch sizes that had no room, and GPUs that could not be watched."""
    found = []
    for name, run in results.rungs:
        if run.sweep_end in ("memory", "profiles"):
            found.append(row(name, run_title(run), run.sweep_reason))
        if run.gpu_unseen:
            found.append(row(name, run_title(run), f"GPU not watched: {run.gpu_unseen}"))
    return Table((text("Model"), text("Rung"), text("not measured")), tuple(found))


def gpu_table(results: Results, model: str) -> Table:
    """Backend × batch size of a model: what the GPU used, by NVML; without rows where no GPU was watched."""
    watched = [(item, item.latency.gpu) for item in _measured(results) if item.model == model and item.latency.gpu]
    return listing(
        watched,
        {
            text("Rung"): lambda found: run_title(found[0].run),
            number("batch"): lambda found: formats.count(found[0].latency.batch_size),
            number("memory, MB"): lambda found: formats.megabytes(found[1].memory_bytes),
            number("SM clock, MHz"): lambda found: formats.count(found[1].sm_clock_mhz),
            number("memory clock, MHz"): lambda found: formats.count(found[1].memory_clock_mhz),
            number("power, W"): lambda found: formats.count(found[1].power_w),
            number("energy, J/image"): lambda found: formats.small(found[1].energy_per_image_j),
        },
    )


def batch_chart(results: Results, look: Look) -> Figure:
    """Throughput over the batch size, in that of the smallest batch of the same rung: each model's fastest one."""
    with styled(look):
        figure, (axes,) = panels(look, 1, 1, 3.0)
        styles, runs = lines(results, look.theme), _fastest(results)
        sizes = sorted({item.batch_size for run in runs.values() for item in run.latency})
        for name, run in runs.items():
            own = [item.batch_size for item in run.latency]
            options = styles[name].plot_options()
            axes.plot(own, gains(run), label=name, marker=styles[name].marker, markersize=4.5, **options)
        axes.set_title("images/s, times those of the smallest batch")
        axes.set_xlabel("batch size")
        _batch_axis(axes, sizes)
        axes.set_ylim(0, 1.1 * max((gain for run in runs.values() for gain in gains(run)), default=1))
        if not sizes:
            axes.text(0.5, 0.5, "no artefact was measured", ha="center", transform=axes.transAxes)
        legend_below(figure, [axes], 3 if look.narrow else 6)
    return figure


def gains(run: BackendRun) -> list[float]:
    """Throughput by batch size, in that of the smallest one of the same run."""
    return [item.images_per_second / run.latency[0].images_per_second for item in run.latency]


def _batch_axis(axes: Axes, sizes: list[int]) -> None:
    if sizes:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(sizes))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(ScalarFormatter())


def batch_alt(results: Results) -> str:
    """The batch chart in words, and which rung each model is drawn with."""
    described = [
        f"{name} under {run_title(run)}: {formats.times(gains(run)[-1])} the images/s at batch "
        f"{run.latency[-1].batch_size}"
        for name, run in _fastest(results).items()
    ]
    return f"{'; '.join(described) or 'No artefact was measured'}."


def _fastest(results: Results) -> dict[str, BackendRun]:
    found = {model.name: fastest_beside(results, model.name) for model in results.models}
    return {name: each.rung.run for name, each in found.items() if each}


def _measured(results: Results) -> list[Measured]:
    return [item for model in results.models for item in measured(model.benchmark)]
