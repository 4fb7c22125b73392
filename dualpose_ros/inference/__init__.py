"""What runs networks: one file a back end in `backends`, none imported before it is asked for."""

import os

# Official builds of ONNX Runtime else send events to their makers, from a thread that is there from the import on.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
