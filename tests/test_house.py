"""The rooms of the package: no cycle, no upward import, one meaning for a name, a test file for a module."""

from tests.helpers.house import (
    PACKAGE,
    ROOMS,
    begins_with_verb,
    cycles,
    double_names,
    imports,
    missing_tests,
    modules,
    room,
    sentences,
    upward_imports,
)

# Names that two modules define with one meaning, and why both need them.
STANDS_ALONE = "the fast tokenizer's file stands alone in a model directory, without this package"
DOUBLE_NAMES = {
    "DICTIONARY_PACKAGES": STANDS_ALONE,
    "MAX_INPUT_CHARS_PER_WORD": STANDS_ALONE,
    "MAX_MECAB_CHARACTERS": STANDS_ALONE,
    "SPECIAL_TOKENS": STANDS_ALONE,
    "VOCAB_FILE": STANDS_ALONE,
}
# Modules without a test file of their own, with the reason.
NO_TEST_FILE: dict[str, str] = {}


def test_no_import_cycle():
    assert cycles() == []


def test_a_room_imports_only_from_rooms_below_it():
    assert {room(module) for module in modules()} == set(ROOMS)
    assert upward_imports() == []


def test_the_graph_sees_imports_inside_functions_and_of_modules():
    graph = imports()
    assert "japanese_bert.common.locks" in graph["japanese_bert.common.output_files"]
    assert sum(map(len, graph.values())) > 100


def test_a_name_has_one_meaning():
    found = double_names()
    assert found.keys() - DOUBLE_NAMES.keys() == set(), {
        name: found[name] for name in found.keys() - DOUBLE_NAMES.keys()
    }
    assert DOUBLE_NAMES.keys() - found.keys() == set(), "no longer double"


def test_every_module_has_a_test_file():
    assert missing_tests() == set(NO_TEST_FILE)


def test_no_folder_is_crowded():
    for folder in {path.parent for path in modules().values()}:
        assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= 16, folder
    assert len(list(PACKAGE.glob("*.py"))) == 1


def test_figures_of_prose():
    assert [begins_with_verb(text) for text in ("Return x.", "Returns x.", "The x.", "Process it.")] == [1, 0, 0, 1]
    assert sentences("One two. Three?\n\n- four\n- five") == ["One two.", "Three?", "- four", "five"]
