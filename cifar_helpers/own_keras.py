"""Import Keras with the settings it is delivered with, whatever keras.json or a variable on this machine says.

Otherwise "floatx": "float16" there would change every result in silence, and another backend or layout end in errors.
No stamp covers this module: tests hold that Keras starts alike everywhere.
"""

import os
import sys
import tempfile

DELIVERED = ("tensorflow", "float32", 1e-7, "channels_last")

if "keras" not in sys.modules:
    with tempfile.TemporaryDirectory() as empty:
        before = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith("KERAS_")}
        os.environ["KERAS_HOME"] = empty  # where it looks for keras.json
        os.environ["KERAS_BACKEND"] = DELIVERED[0]
        import keras  # noqa: F401

        del os.environ["KERAS_HOME"]
        os.environ |= {**before, "KERAS_BACKEND": DELIVERED[0]}

config = sys.modules["keras"].config
if (config.backend(), config.floatx(), config.epsilon(), config.image_data_format()) != DELIVERED:
    raise ImportError("Keras was imported with other settings: restart the kernel and run the cells from the top.")
