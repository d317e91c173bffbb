"""`talkjax doctor`: what is in a prepared set, and whether it is whole."""

import argparse
import json
from pathlib import Path
from typing import Any

from data_prep.contact_sheet import ContactSheet
from data_prep.doctor import QUIET_DBFS, examine, summary
from talkjax.data.source import read_index
from talkjax.data.writer import write_json

EXIT_BROKEN = 1
MAX_LINES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", type=Path, help="folder made by `talkjax prepare`")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="write contact_sheet.png and doctor.json there",
    )
    parser.add_argument("--json", action="store_true", help="print the facts as JSON")
    parser.description += " Exit code 1 if something is broken."


def run(args: argparse.Namespace) -> int:
    sheet = ContactSheet(len(read_index(args.data)["clips"]))
    facts = summary(examine(args.data, on_record=sheet.add))
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        sheet.save(args.out / "contact_sheet.png")
        write_json(args.out / "doctor.json", facts)
    print(json.dumps(facts, indent=1, ensure_ascii=False) if args.json else _text(facts))
    if args.out is not None and not args.json:
        print(f"contact sheet and facts: {args.out}")
    return 0 if facts["ok"] else EXIT_BROKEN


def _text(facts: dict[str, Any]) -> str:
    lines = [
        f"{facts['folder']}: {facts['clips']} clips, {facts['seconds']:.0f} s, "
        f"{facts['identities']} identities"
    ]
    for split, part in facts["splits"].items():
        lines.append(
            f"  {split:5}  {part['clips']} clips, {part['seconds']:.0f} s, {part['identities']} "
            f"identities ({part['identities_also_in_other_splits']} also in other splits)"
        )
    lines += _sources(facts)
    for name, title in (
        ("clip_seconds", "clip length, s"),
        ("face_px", "face width in the source, px"),
        ("loudness_dbfs", "loudness, dBFS"),
        ("quiet_fraction", f"share of frames below {QUIET_DBFS:.0f} dBFS"),
    ):
        spread = facts[name]
        if spread is not None:
            lines.append(
                f"{title}: median {spread['median']:g}, 90% in {spread['low_5_percent']:g} to "
                f"{spread['high_5_percent']:g}, all in {spread['least']:g} to {spread['most']:g}"
            )
    lines.append(_sync(facts["coarse_sync"]))
    for title, entries in (("problem", facts["problems"]), ("warning", facts["warnings"])):
        lines += [f"{title}: {entry}" for entry in entries[:MAX_LINES]]
        if len(entries) > MAX_LINES:
            lines.append(f"{title}: ... and {len(entries) - MAX_LINES} more (--json)")
    lines.append("every record is whole" if facts["ok"] else "BROKEN: see the problems")
    return "\n".join(lines)


def _sources(facts: dict[str, Any]) -> list[str]:
    if facts["rejected"] is None:
        return ["no report.json: what was rejected is not known"]
    rejected = ", ".join(f"{count} {name}" for name, count in facts["rejected"].items())
    counts = {
        name: ", ".join(f"{value} ({count})" for value, count in histogram.items())
        for name, histogram in facts["sources"].items()
    }
    return [
        f"rejected: {rejected or 'none'}; clips with notes: {facts['clips_with_notes']}",
        f"sources: {counts['fps']} frames/s; sound {counts['audio_rate_hz']} Hz",
    ]


def _sync(sync: dict[str, Any] | None) -> str:
    if sync is None:
        return "A/V lag: too few clips for the coarse check"
    return (
        f"A/V lag of the set (coarse check without a critic): {sync['lag_frames']:+d} frames, "
        f"positive is a late picture; clarity {sync['clarity']:g} on {sync['clips']} clips"
    )
