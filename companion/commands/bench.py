"""``companion bench``: what this machine does, as ratios of runs side by side."""

import asyncio
from typing import Any

import click

from ..bench import run
from . import options, output


@click.command()
@click.option("--quick", is_flag=True, help="Shorter runs: within 45 seconds.")
@options.as_json
def bench(quick: bool, as_json: bool) -> int:
    """Measure hello, a constant answer, our PUT, push, pull, pages and trends in turn; read the ratios, not the rates."""
    plan = run.QUICK if quick else run.WHOLE
    told = asyncio.run(run.bench(plan, lambda text: None if as_json else click.echo(text, err=True)))
    output.show(as_json, told, _table(told))
    return 0


def _table(told: dict[str, Any]) -> str:
    lines = ["ratios (medians of rounds side by side)"]
    lines += [f"  {name:32} {value}" for name, value in told["ratios"].items()]
    lines.append(f"  {'':16} {'a second':>10} {'CPU µs':>8} {'p50 ms':>8} {'p99 ms':>8}")
    for name, rate in told["rates"].items():
        cpu, p50, p99 = (told[column].get(name, "") for column in ("cpu_us", "p50_ms", "p99_ms"))
        lines.append(f"  {name:16} {rate:>10} {cpu:>8} {p50:>8} {p99:>8}")
    diary = told["diary_record_ms"]
    lines.append(f"  a pull of 1,000 changes: {told['pull_1000_cpu_ms']} ms of CPU")
    lines.append(f"  Diary.record while it syncs: p50 {diary['p50']} ms, p99 {diary['p99']} ms of {diary['records']}")
    lines.append(f"  start {told['start_s']} s, idle {told['idle_mb']} MB, loaded {told['loaded_mb']} MB")
    return "\n".join(lines)
