"""Compiled functions are compiled anew when any of their sources changes."""

import ast
from pathlib import Path

from data_prep.synthetic import compiled


def test_a_change_of_any_source_has_a_folder_of_its_own(tmp_path):
    for name in compiled.SOURCES:
        (tmp_path / f"{name}.py").write_text("one = 1\n")
    folders = {compiled.cache_folder(tmp_path)}
    assert folders == {compiled.cache_folder(tmp_path)}
    for name in compiled.SOURCES:
        (tmp_path / f"{name}.py").write_text("one = 2\n")
        folders.add(compiled.cache_folder(tmp_path))
    assert len(folders) == 1 + len(compiled.SOURCES)


def test_the_sources_are_all_that_compile():
    here = Path(compiled.__file__).parent
    found = {
        path.stem
        for path in here.glob("*.py")
        if any(
            isinstance(node, ast.ImportFrom) and node.module == "data_prep.synthetic.compiled"
            for node in ast.walk(ast.parse(path.read_text()))
        )
    }
    assert found == set(compiled.SOURCES)
