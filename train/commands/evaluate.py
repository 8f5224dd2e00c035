"""`python -m train evaluate BUNDLE`: a report on a bundle's likelihood, samples and latents."""

import argparse
from pathlib import Path

from edgevae import bundle
from train.data.of_bundle import training_data
from train.evaluation import report, text_report
from train.options import add_bundle, integer


def add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    add_bundle(command)
    add = command.add_argument
    add("--out", type=Path, help="folder of the report (default: runs/report-NAME)")
    add(
        "--judges",
        type=Path,
        default=Path("runs/judges"),
        help="folder in which the classifiers that judge samples are kept (%(default)s)",
    )
    add("--draws", type=integer(1), default=100, help="K of the IWAE bound (%(default)s)")
    add(
        "--iwae-items",
        type=integer(2),
        default=1000,
        help="number of test items of the IWAE bound (%(default)s)",
    )
    add("--precision", choices=("float32", "int8"), default="float32")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    path = bundle.find(options.bundle)
    out = options.out or Path("runs") / f"report-{path.resolve().name}"
    source = bundle.read(path)
    data = training_data(source, options.data)
    if source.text:
        command = f"python -m train evaluate {options.bundle} --out {out}"
        print(text_report.markdown(text_report.report(path, data, out, command)))
        return
    result = report.evaluate(
        path,
        data,
        out,
        options.judges,
        draws=options.draws,
        iwae_items=options.iwae_items,
        precision=options.precision,
    )
    print(report.markdown(result))
