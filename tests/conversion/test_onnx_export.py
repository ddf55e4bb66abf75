"""Names of the outputs, missing packages, and the exporter's messages. The tests of the stage export."""

import logging
import warnings

import pytest

from japanese_bert.conversion import onnx_export


@pytest.mark.parametrize(
    ("architecture", "names"),
    [
        ("BertForPreTraining", ["logits", "seq_relationship_logits"]),
        ("BertForMaskedLM", ["logits"]),
        ("AlbertForPreTraining", ["logits", "sop_logits"]),
        ("ElectraForPreTraining", ["logits"]),
    ],
)
def test_output_names(architecture, names):
    assert onnx_export.output_names(architecture) == names


def test_missing_packages_are_named(monkeypatch):
    onnx_export.check_onnx_packages()
    monkeypatch.setattr(onnx_export, "find_spec", lambda package: None if package == "onnxscript" else package)
    with pytest.raises(ImportError, match=r"--onnx needs onnxscript\. Run \./install\.sh"):
        onnx_export.check_onnx_packages()


def test_the_exporters_messages_are_hidden(caplog):
    with onnx_export._quiet_exporter():
        warnings.warn("axes have names of their own", UserWarning, stacklevel=1)
        logging.getLogger("torch.onnx._internal.exporter._registration").warning("torchvision is not installed")
        logging.getLogger("torch.onnx").warning("something else")
    assert [item.getMessage() for item in caplog.records] == ["something else"]
    with pytest.warns(UserWarning, match="again"):
        warnings.warn("again", UserWarning, stacklevel=1)
