"""Every module imports, every config parses, and the arrows between the rooms hold."""

import ast
import importlib
import importlib.util
import json
import pathlib
import pkgutil

import pytest
from ml_collections import ConfigDict

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = ("talkjax", "data_prep", "configs", "benchmarks")
# Their modules need an extra that may be absent.
OPTIONAL = {"data_prep.tfds": "tensorflow_datasets", "data_prep.beam_pipeline": "apache_beam"}

# Every room may import itself, the small modules of EVERYBODY; and, besides, these.
EVERYBODY = ("talkjax.arrays", "talkjax.errors", "talkjax.progress")
ARROWS = {
    "talkjax.arrays": (),
    "talkjax.errors": (),
    "talkjax.progress": (),
    "talkjax.ops": (),
    "talkjax.nets": ("talkjax.ops",),
    "talkjax.methods": ("talkjax.nets", "talkjax.ops"),
    "talkjax.data": ("talkjax.ops",),
    "talkjax.media": ("talkjax.ops", "talkjax.data.schema"),
    "talkjax.train": ("talkjax.methods.api",),
    "talkjax.weights": ("talkjax.nets",),
    "talkjax.evals": ("talkjax.media.landmarks", "talkjax.ops"),
    # A method is found by the name in its checkpoint's config, not imported.
    "talkjax.infer": ("talkjax.data.schema", "talkjax.media", "talkjax.ops"),
    "data_prep": (
        "talkjax.data.index",
        "talkjax.data.schema",
        "talkjax.data.source",
        "talkjax.data.writer",
        "talkjax.media",
        "talkjax.ops",
    ),
    "configs": (),
}
# The top: sees everything.
TOP = (
    "talkjax.commands",
    "talkjax.cli",
    "talkjax.command_line",
    "talkjax.main",
    "talkjax.__main__",
    "talkjax.assemble",
    "talkjax.experts",
    "talkjax.dry_run",
    "benchmarks",
)
# configs hold plain values: nothing but these may be imported there.
IN_CONFIGS = ("ml_collections", "configs")
NO_RUN = ("__init__", "common")


def modules():
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found.append(name.removesuffix(".__init__"))
    return found


def source_of(module):
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports_of(module):
    """What a module imports anywhere in its text, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(source_of(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                known = ROOT.joinpath(*whole.split("."))
                is_module = known.is_dir() or known.with_suffix(".py").exists()
                found.add(whole if is_module else node.module)
    return found


def inside(name, packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


def room_of(module):
    rooms = [room for room in (*ARROWS, *TOP) if inside(module, (room,))]
    return max(rooms, key=len) if rooms else None


@pytest.mark.parametrize("module", modules())
def test_module_imports(module):
    if module == "talkjax.__main__":
        assert importlib.util.find_spec(module)  # importing it would run the command
        return
    for package, needed in OPTIONAL.items():
        if inside(module, (package,)):
            pytest.importorskip(needed, reason=f"{module} needs the extra with {needed}")
    importlib.import_module(module)


@pytest.mark.parametrize("module", modules())
def test_imports_follow_the_arrows(module):
    if module in PACKAGES or module == "talkjax.__init__":
        return
    room = room_of(module)
    assert room, f"{module} is in no room; give it one in tests/test_imports.py"
    if room in TOP:
        return
    ours = {name for name in imports_of(module) if inside(name, PACKAGES)}
    allowed = (room, *EVERYBODY, *ARROWS[room])
    wrong = sorted(name for name in ours if not inside(name, allowed))
    if room == "data_prep":
        # One package, whose parts see each other.
        wrong = [name for name in wrong if not inside(name, ("data_prep",))]
    assert not wrong, f"{module} imports {wrong}; {room} may see {sorted(allowed)}"


def test_method_files_do_not_import_each_other():
    for info in pkgutil.iter_modules([str(ROOT / "talkjax" / "methods")]):
        module = f"talkjax.methods.{info.name}"
        others = {n for n in imports_of(module) if inside(n, ("talkjax.methods",))}
        assert others <= {"talkjax.methods.api"}, module


@pytest.mark.parametrize("room", ARROWS)
def test_no_arrow_is_wider_than_needed(room):
    imported = set().union(*(imports_of(name) for name in modules() if room_of(name) == room))
    unused = [arrow for arrow in ARROWS[room] if not any(inside(n, (arrow,)) for n in imported)]
    assert not unused, f"{room} may see {unused}, but does not look"


def test_an_arrow_that_does_not_exist_is_seen():
    assert room_of("talkjax.train.loop") == "talkjax.train"
    assert not inside("talkjax.data.pipeline", ARROWS["talkjax.train"])
    assert inside("talkjax.methods.api", ARROWS["talkjax.train"])
    assert not inside("talkjax.methods.synctalkface", ARROWS["talkjax.train"])
    assert "talkjax.methods.api" in imports_of("talkjax.train.step")
    # Preparation writes records; how a run reads them is none of its business.
    assert not inside("talkjax.data.pipeline", ARROWS["data_prep"])
    assert not inside("talkjax.media.video", ARROWS["talkjax.evals"])


def config_files():
    return [
        p for p in sorted((ROOT / "configs").glob("*.py")) if p.stem not in ("__init__", "common")
    ]


@pytest.mark.parametrize("path", config_files(), ids=lambda path: path.stem)
def test_config_is_plain_and_round_trips_through_json(path):
    foreign = {n for n in imports_of(f"configs.{path.stem}") if not inside(n, IN_CONFIGS)}
    assert not foreign, f"{path.name} imports {sorted(foreign)}; configs hold plain values"
    module = importlib.import_module(f"configs.{path.stem}")
    config = module.get_config()
    assert isinstance(config, ConfigDict)
    plain = json.loads(config.to_json_best_effort())
    assert plain == json.loads(json.dumps(plain))
    assert json.loads(json.dumps(config.to_dict())) == plain
