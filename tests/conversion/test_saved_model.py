"""The checks around the export of a SavedModel. The tests of the stage export."""

import logging

import pytest

from japanese_bert.conversion import saved_model
from tests.helpers.converting import ALBERT, BERT, CONFIGS


def test_other_outputs_are_refused(tmp_path):
    for value in (1e-3, float("nan")):
        with pytest.raises(ValueError, match="pooled_output differs from the trained model's by"):
            saved_model.check_differences(tmp_path, {"sequence_output": 1e-6, "pooled_output": value})


def test_only_understood_messages_are_left_out(caplog):
    logger = logging.getLogger("tensorflow")
    with caplog.at_level(logging.WARNING, logger="tensorflow"), saved_model.quiet():
        logger.warning("Value in checkpoint could not be found in the restored object: (root).optimizer.iter")
        logger.warning("Something else")
    logger.warning("Value in checkpoint could not be found in the restored object: (root).encoder")
    assert [record.getMessage()[:9] for record in caplog.records] == ["Something", "Value in "]


def test_a_signal_leaves_the_messages_out(caplog):
    """They come when what was restored is deleted, after the block."""
    logger = logging.getLogger("tensorflow")
    try:
        with pytest.raises(KeyboardInterrupt), saved_model.quiet():
            raise KeyboardInterrupt
        logger.warning("Value in checkpoint could not be found in the restored object: (root).encoder")
    finally:
        logger.removeFilter(saved_model._says_something)
    assert not caplog.records


def test_a_generator_is_not_exported_and_an_untrained_pooler_is_named(tmp_path, capsys):
    with pytest.raises(ValueError, match="describes an ELECTRA generator, whose encoder is not for fine-tuning"):
        saved_model.check_architecture(CONFIGS["generator"], tmp_path / "config.json")
    saved_model.check_architecture(ALBERT, tmp_path / "config.json")
    saved_model.check_architecture(BERT, tmp_path / "config.json")
    assert capsys.readouterr().out == ""
    saved_model.check_architecture(CONFIGS["bert"], tmp_path / "config.json")
    assert "NOTE BertForMaskedLM has no next sentence head" in capsys.readouterr().out
