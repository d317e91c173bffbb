"""Does a judge order models as the known lips do? Spearman of its scores and the lip errors.

Give the reports (`talkjax evaluate --judge --syncnet --out REPORT`) of models of different
quality on one labelled data set (`talkjax synth`). Every model is a point: its sync scores, and
how far the lips read off its pictures are from the known ones. Two further points are the same in
all reports and are taken from the first: the true frames, and a still lower half.
"""

import argparse
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from talkjax.errors import UserError

# The judge of a score, by its name in the report's protocol: a critic of the training is none.
JUDGE_OF = {"sync": "judge", "lse": "syncnet"}
# score -> 1 where more of it claims better sync, -1 where less does.
SCORES = {
    "sync_confidence": 1,
    "sync_distance_unshifted": -1,
    "lse_c": 1,
    "lse_d": -1,
    "lse_d_unshifted": -1,
}
ERRORS = {
    "label_opening_error": "mean absolute error of the lip opening, in eye distances",
    "one_less_correlation": "1 - correlation of the lip opening, each clip's mean removed",
}
SHARED_ROWS = ("ground_truth", "still_hidden")
FEWEST_MODELS = 5
DEFINITIONS = {
    "spearman": "rank correlation over the points of score (its sign turned where less is better) "
    "and error: -1 is the same order throughout",
    "models": "the row `generated` of each report alone",
    "with_ends": "with the true frames (best) and a still lower half (worst)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("reports", nargs="+", help="report folders, one for each model")
    parser.add_argument("--picture", help="draw scores over errors into this PNG")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Spearman of every score that all reports have, and the points themselves."""
    reports = {path: _read(pathlib.Path(path)) for path in args.reports}
    if len(reports) < FEWEST_MODELS:
        raise UserError(
            f"reports: got {len(reports)}, want {FEWEST_MODELS} or more models of different quality"
        )
    _same_clips(reports)
    points = {path: _point(report["rows"]["generated"], path) for path, report in reports.items()}
    first = next(iter(reports.values()))["rows"]
    ends = {row: _point(first[row], row) for row in SHARED_ROWS}
    scores = [name for name in SCORES if all(name in p for p in (*points.values(), *ends.values()))]
    if not scores:
        raise UserError("reports: no sync score is in all; run `talkjax evaluate` with --judge")
    result = {
        "definitions": DEFINITIONS | ERRORS,
        "judges": _judges(reports, scores),
        "models": {path: _model(report) for path, report in reports.items()},
        "points": points | ends,
        "spearman": {
            which: {error: _ordered(chosen, scores, error) for error in ERRORS}
            for which, chosen in (("models", points), ("with_ends", points | ends))
        },
    }
    if args.picture:
        _draw(pathlib.Path(args.picture), points, ends, scores)
    return result


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    """Rank correlation; equal values share their mean rank."""
    ranks = [_ranks(np.asarray(values, np.float64)) for values in (x, y)]
    return float(np.corrcoef(*ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.array([(np.sum(values < v) + np.sum(values <= v) - 1) / 2 for v in values])


def _ordered(points: Mapping[str, Mapping[str, float]], scores: Sequence[str], error: str) -> dict:
    errors = [point[error] for point in points.values()]
    return {
        score: spearman([SCORES[score] * point[score] for point in points.values()], errors)
        for score in scores
    }


def _read(folder: pathlib.Path) -> dict[str, Any]:
    path = folder / "metrics.json"
    if not path.is_file():
        raise UserError(f"{path}: not there; make it with `talkjax evaluate --out {folder}`")
    return json.loads(path.read_text())


def _same_clips(reports: Mapping[str, dict[str, Any]]) -> None:
    clips = {path: sorted(report["clips"]) for path, report in reports.items()}
    first = next(iter(clips))
    for path, found in clips.items():
        if found != clips[first]:
            raise UserError(f"{path}: other clips than {first}; evaluate all on the same data")


def _point(row: Mapping[str, Any], name: str) -> dict[str, float]:
    if "label_opening_error" not in row:
        raise UserError(f"{name}: no label_opening_error; the clips need labels (`talkjax synth`)")
    means = {score: row[score]["mean"] for score in SCORES if row.get(score)}
    return means | {
        "label_opening_error": row["label_opening_error"]["mean"],
        "one_less_correlation": 1 - row["label_opening_correlation_centred"]["mean"],
    }


def _judges(
    reports: Mapping[str, dict[str, Any]], scores: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Who gave the scores; the same in all reports, or the scores could not be compared."""
    judges = {}
    for name in sorted({JUDGE_OF[score.split("_")[0]] for score in scores}):
        who = {path: report["protocol"][name] for path, report in reports.items()}
        first = next(iter(who))
        for path, judge in who.items():
            if judge["weights_sha256"] != who[first]["weights_sha256"]:
                raise UserError(
                    f"{path}: another {name} than {first}; evaluate all with the same --{name}"
                )
        judges[name] = who[first]
    return judges


def _model(report: Mapping[str, Any]) -> dict[str, Any]:
    return {key: report["protocol"][key] for key in ("checkpoint", "step", "weights_sha256")}


def _draw(
    path: pathlib.Path,
    points: Mapping[str, Mapping[str, float]],
    ends: Mapping[str, Mapping[str, float]],
    scores: Sequence[str],
) -> None:
    """One panel for each score and error; written as a whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(scores), 2.6 * len(ERRORS)), layout="constrained")
    panels = figure.subplots(len(ERRORS), len(scores), squeeze=False)
    for line, error in zip(panels, ERRORS, strict=True):
        for panel, score in zip(line, scores, strict=True):
            for chosen, colour, label in ((points, "C0", "models"), (ends, "C3", "truth, still")):
                x = [point[error] for point in chosen.values()]
                panel.scatter(x, [p[score] for p in chosen.values()], s=14, c=colour, label=label)
            panel.set_xlabel(error, fontsize=7)
            panel.set_ylabel(score, fontsize=7)
            panel.tick_params(labelsize=6)
    panels[0, 0].legend(fontsize=6)
    FigureCanvasAgg(figure)
    partial = path.with_name(f".{path.name}.partial")
    figure.savefig(partial, format="png", dpi=130)
    partial.replace(path)
