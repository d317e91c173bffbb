import importlib
import os
import signal
import subprocess
import sys
import time
import types

import pytest

from talkjax import cli
from talkjax.errors import UserError


def _install(monkeypatch, run, **attributes):
    module = types.ModuleType("talkjax.commands.env")
    module.add_arguments = lambda parser: parser.add_argument("--number", type=int)
    module.run = run
    for name, value in attributes.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_bad_input_is_one_line_and_exit_code_2(monkeypatch, capsys):
    def run(args):
        raise UserError("a.mp4: is empty,\nwant a video")

    _install(monkeypatch, run)
    assert cli.main(["env"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "talkjax env: a.mp4: is empty, want a video\n"
    assert captured.out == ""


def test_a_defect_keeps_its_traceback(monkeypatch):
    def run(args):
        raise ZeroDivisionError

    _install(monkeypatch, run)
    with pytest.raises(ZeroDivisionError):
        cli.main(["env"])


def test_interruption_is_130(monkeypatch, capsys):
    def run(args):
        raise KeyboardInterrupt

    _install(monkeypatch, run)
    assert cli.main(["env"]) == 130
    assert capsys.readouterr().err == "talkjax env: interrupted\n"


def test_sigterm_unwinds_and_is_143(monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    cleaned = []

    def run(args):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            # A second one kills as usual.
            cleaned.append(signal.getsignal(signal.SIGTERM))

    _install(monkeypatch, run)
    assert cli.main(["env"]) == 143
    assert capsys.readouterr().err == "talkjax env: terminated\n"
    assert cleaned == [before]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_command_may_see_to_its_signals_itself(monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    seen = []
    run = lambda args: seen.append(signal.getsignal(signal.SIGTERM)) or 0  # noqa: E731
    _install(monkeypatch, run)
    cli.main(["env"])
    _install(monkeypatch, run, HANDLES_SIGTERM=True)
    cli.main(["env"])
    assert seen[0] is not before and seen[1] is before
    assert importlib.import_module("talkjax.commands.train").HANDLES_SIGTERM


def test_the_commands_exit_code_is_returned(monkeypatch):
    _install(monkeypatch, lambda args: args.number)
    assert cli.main(["env", "--number", "5"]) == 5


def test_unknown_flags_are_refused_unless_the_command_passes_them_on(monkeypatch, capsys):
    _install(monkeypatch, lambda args: 0)
    with pytest.raises(SystemExit) as refused:
        cli.main(["env", "--config.a.b=1"])
    assert refused.value.code == 2
    said = capsys.readouterr().err
    assert said == ("talkjax env: unrecognized arguments: --config.a.b=1; see talkjax env --help\n")

    seen = []
    run = lambda args: seen.append(args.unknown_flags) or 0  # noqa: E731
    _install(monkeypatch, run, PASSES_UNKNOWN_FLAGS=True)
    assert cli.main(["env", "--config.a.b=1", "--number=2"]) == 0
    assert seen == [["--config.a.b=1"]]


def test_an_unknown_command_names_the_known_ones(capsys):
    with pytest.raises(SystemExit) as refused:
        cli.main(["generrate"])
    assert refused.value.code == 2
    assert "generate" in capsys.readouterr().err


def test_no_command_is_no_success(capsys):
    assert cli.main([]) == 2
    assert "commands:" in capsys.readouterr().err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_commands_help_has_a_description_and_an_example(name, capsys):
    with pytest.raises(SystemExit) as helped:
        cli.main([name, "--help"])
    assert helped.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: talkjax {name}" in text
    assert "example" in text
    assert f"talkjax {name}" in text.split("example", 1)[1]


def test_help_and_version_do_not_import_jax():
    code = (
        "import sys; from talkjax import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit as e: assert e.code == 0, e.code\n"
        "assert 'jax' not in sys.modules"
    )
    for flag in ("--help", "--version"):
        done = subprocess.run(
            [sys.executable, "-c", code, flag], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "talkjax" in done.stdout
