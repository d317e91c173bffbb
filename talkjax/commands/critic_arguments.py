"""Options that `talkjax prepare` and `talkjax doctor` share: a critic, and what follows from it.

Imports nothing that a run without a critic does not need.
"""

import argparse
from pathlib import Path

from data_prep.sync_check import MAX_FIX_FRAMES, SyncRules
from talkjax.errors import UserError

# Half-way between a coin and certainty.
MIN_ACCURACY = 0.75


def add_critic_arguments(parser: argparse.ArgumentParser, *, can_fix: bool) -> None:
    """--critic and what goes with it; `can_fix`: --fix-offset too."""
    verb = "reject" if can_fix else "call a problem (exit code 1)"
    group = parser.add_argument_group("lips and sound, by a trained sync critic")
    group.add_argument(
        "--critic",
        metavar="CKPT",
        type=Path,
        help="workdir or export of a sync critic, trained on crops like these: measures offset "
        "and confidence of each clip",
    )
    group.add_argument(
        "--min-confidence",
        metavar="X",
        type=float,
        help=f"{verb} a clip below it; its unit is the critic's, see doctor's median",
    )
    group.add_argument(
        "--max-offset-frames",
        metavar="K",
        type=int,
        help=f"{verb} a clip whose lips and sound are further apart, 0 to {MAX_FIX_FRAMES}",
    )
    if can_fix:
        group.add_argument(
            "--fix-offset",
            action="store_true",
            help="move the sound of the clips that stay by their offset, and cut what is then "
            "without picture or sound; needs --min-confidence",
        )
    group.add_argument(
        "--any-critic",
        action="store_true",
        help=f"take a critic whose validation accuracy is unknown or below {MIN_ACCURACY:g}",
    )


def sync_rules(args: argparse.Namespace) -> SyncRules | None:
    """The rules, or None without a critic.

    Raises:
      UserError: if a rule needs what is not given.
    """
    asked = {
        "--min-confidence": args.min_confidence is not None,
        "--max-offset-frames": args.max_offset_frames is not None,
        "--fix-offset": getattr(args, "fix_offset", False),
        "--any-critic": args.any_critic,
    }
    if args.critic is None:
        given = [flag for flag, is_given in asked.items() if is_given]
        if given:
            raise UserError(f"{given[0]}: got no --critic, want one that measures it")
        return None
    return SyncRules(
        min_confidence=args.min_confidence,
        max_offset_frames=args.max_offset_frames,
        fix_offset=asked["--fix-offset"],
    )
