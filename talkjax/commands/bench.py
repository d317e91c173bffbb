"""`talkjax bench NAME`: one benchmark, its result as JSON on stdout.

A benchmark is a module with `add_arguments(parser)` and `run(args) -> dict`. It imports what is
slow to import inside `run`, as all are imported to print their help.
"""

import argparse
import importlib
import json

from benchmarks import report

# name -> module; a new benchmark is one line here.
BENCHMARKS = {
    "data": "benchmarks.data",
    "generate": "benchmarks.generate",
    "judge_order": "benchmarks.judge_order",
    "synthetic_lips": "benchmarks.synthetic_audio_to_lips",
    "train": "benchmarks.train",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    choices = parser.add_subparsers(dest="benchmark", required=True, metavar="NAME")
    for name, module_name in BENCHMARKS.items():
        module = importlib.import_module(module_name)
        summary = module.__doc__.split("\n", 1)[0]
        choice = choices.add_parser(name, help=summary, description=summary, allow_abbrev=False)
        module.add_arguments(choice)
        choice.add_argument("--out", help="write the JSON to this file too")


def run(args: argparse.Namespace) -> int:
    module = importlib.import_module(BENCHMARKS[args.benchmark])
    result = {"benchmark": args.benchmark, "machine": report.machine()} | module.run(args)
    print(json.dumps(result, indent=2))
    if args.out:
        report.write(args.out, result)
    return 0
