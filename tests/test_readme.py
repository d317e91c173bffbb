"""Every command that a document quotes is one that the parsers take; nothing is run."""

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from benchmarks import train as bench_train
from talkjax import cli, command_line

ROOT = Path(__file__).resolve().parents[1]
READMES = ("README.md", "data_prep/README.md", "benchmarks/README.md")
SCRIPTS = ("launch/demo.sh", "launch/local.sh", "launch/slurm.sbatch", "launch/tpu_pod.sh")
JOB = "launch/gke_jobset.yaml"
# What may stand before a command in its line.
BEFORE = r"(?:(?:exec|srun) [^#\n]*)?"
# What a caller of the scripts gives.
GIVEN = {
    '"$@"': "--config.run.steps=5",
    '$*"': "--config.run.steps=5",
    '"$workers"': "2",
    '"$devices"': "2",
    "$config": "configs/synctalkface_grid.py",
    "$workdir": "runs/a",
}


def shell_commands(text):
    """The words after `talkjax` of each line that starts a command, continuations joined."""
    joined = re.sub(r"\\\n\s*", "", text)
    found = re.findall(rf"^\s*{BEFORE}talkjax +(\S[^>\n]*)", joined, re.MULTILINE)
    return [shlex.split(command, comments=True) for command in found]


def code_blocks(markdown):
    fenced = re.findall(r"^```\w*\n(.*?)^```", markdown, re.DOTALL | re.MULTILINE)
    indented = re.findall(r"^ {4}\S.*(?:\n {4,}\S.*)*", markdown, re.MULTILINE)
    return "\n".join([*fenced, *indented])


def inline_commands(markdown):
    """`talkjax ...` within a sentence, which may leave out what is needed."""
    prose = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    return [shlex.split(code)[1:] for code in re.findall(r"`(talkjax\s[^`]*)`", prose)]


def script_commands(text):
    for name, value in GIVEN.items():
        text = text.replace(name, value)
    return shell_commands(text)


def job_command(text):
    """The list under `command:`, without its first word."""
    block = re.search(r"command:\n((?:\s+- \S+\n)+)", text)[1]
    return re.findall(r"- (\S+)", block)[1:]


def quoted():
    for name in READMES:
        for words in shell_commands(code_blocks((ROOT / name).read_text(encoding="utf-8"))):
            yield name, words
    for name in SCRIPTS:
        for words in script_commands((ROOT / name).read_text(encoding="utf-8")):
            yield name, words
    yield JOB, job_command((ROOT / JOB).read_text(encoding="utf-8"))
    for name, command in cli.COMMANDS.items():
        for words in shell_commands(command.example):
            yield f"talkjax {name} --help", words


def parse(words, monkeypatch):
    """Parses a command as `talkjax` would, its config and overrides too, and does nothing else."""
    monkeypatch.chdir(ROOT)
    module = cli.command_module(words[0])
    monkeypatch.setattr(command_line, "check_paths", lambda config, workdir: None)
    if words[0] == "train":
        monkeypatch.setattr("talkjax.main.start", lambda values: 0)
    elif words[:2] == ["bench", "train"]:
        monkeypatch.setattr(module, "run", lambda args: bench_train._config(args, "runs/a") and 0)
    else:
        monkeypatch.setattr(module, "run", lambda args: 0)
    return cli.main(words)


QUOTED = list(quoted())


@pytest.mark.parametrize(
    ("where", "words"), QUOTED, ids=[f"{where}:{' '.join(words[:3])}" for where, words in QUOTED]
)
def test_quoted_command_parses(where, words, monkeypatch, capsys):
    assert parse(words, monkeypatch) == 0, capsys.readouterr().err


@pytest.mark.parametrize("where", [*READMES, *SCRIPTS, JOB])
def test_commands_are_found_in(where):
    text = (ROOT / where).read_text(encoding="utf-8")
    assert [words for name, words in QUOTED if name == where]
    if where in READMES:
        # A command in a block that is missed here would not be checked.
        lines = [line for line in text.splitlines() if re.match(r"\s*talkjax \S+ .*-", line)]
        assert len([name for name, _ in QUOTED if name == where]) >= len(lines)


@pytest.mark.parametrize("name", READMES)
def test_commands_in_sentences_have_such_flags(name):
    for words in inline_commands((ROOT / name).read_text(encoding="utf-8")):
        if words[0] in ("COMMAND", "--help"):
            continue
        assert words[0] in cli.COMMANDS, words
        module = cli.command_module(words[0])
        parser = cli.command_parser(words[0])
        module.add_arguments(parser)
        flags = all_flags(parser)
        for word in words[1:]:
            flag = word.partition("=")[0]
            known = flag in flags or (words[0] == "train" and flag.startswith("--config."))
            assert known or not flag.startswith("--"), f"{name}: {' '.join(words)}"


def all_flags(parser):
    """Of a parser and its sub-commands."""
    flags = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            flags = flags.union(*map(all_flags, action.choices.values()))
    return flags


def test_every_config_that_is_named_exists():
    named = set()
    documents = [*READMES, *SCRIPTS, JOB, "launch/xmanager.py"]
    for path in [*(ROOT / name for name in documents), *(ROOT / "configs").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r"configs/(\w+)\.py(?::(\w+))?", text))
    assert named
    for name, variant in named:
        module = importlib.import_module(f"configs.{name}")
        assert not variant or variant in module.VARIANTS, f"configs/{name}.py:{variant}"


@pytest.mark.parametrize(
    "wrong",
    [
        "train --config configs/sync_critic_grid.py:no_such --workdir runs/a",
        "train --config configs/sync_critic_grid.py --workdir runs/a --config.data.no_such=1",
        "train --config configs/sync_critic_grid.py --workdir runs/a --no-such",
        "bench train --config configs/sync_critic_grid.py --set data.no_such=1",
        "prepare raw out --layout no_such",
        "generate --checkpoint runs/a --face a.mp4",
    ],
)
def test_a_command_that_is_wrong_does_not_parse(wrong, monkeypatch):
    try:
        code = parse(wrong.split(), monkeypatch)
    except SystemExit as stopped:  # argparse
        code = stopped.code
    assert code == 2
