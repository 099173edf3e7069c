"""The folder that holds one exported network: `manifest.json` and one ONNX file per stage."""

from edge.bundle.document import digest as manifest_digest
from edge.bundle.error import BundleError
from edge.bundle.manifest import Accuracy, Controllers, Manifest, Measured, Provenance, Task
from edge.bundle.store import Bundle, open_bundle, read_manifest, state_calibration, state_measured, write_bundle

__all__ = [
    "Accuracy",
    "Bundle",
    "BundleError",
    "Controllers",
    "Manifest",
    "Measured",
    "Provenance",
    "Task",
    "manifest_digest",
    "open_bundle",
    "read_manifest",
    "state_calibration",
    "state_measured",
    "write_bundle",
]
