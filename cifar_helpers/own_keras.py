"""Import Keras with the settings it is delivered with, whatever keras.json or a variable on this machine says.

Otherwise "floatx": "float16" there would change every result in silence, and another backend or layout end in errors.
No stamp covers this module: tests hold that Keras starts alike everywhere.
"""

import os
import sys
import tempfile

before = dict(os.environ)
if "keras" not in sys.modules:
    with tempfile.TemporaryDirectory() as empty:
        for name in [name for name in os.environ if name.startswith("KERAS_")]:
            del os.environ[name]
        os.environ["KERAS_HOME"] = empty  # the folder in which it looks for keras.json
        os.environ["KERAS_BACKEND"] = "tensorflow"
        import keras  # noqa: F401

        del os.environ["KERAS_HOME"]
        os.environ |= {**before, "KERAS_BACKEND": "tensorflow"}
elif sys.modules["keras"].config.backend() != "tensorflow":
    raise ImportError("Keras was imported with another backend: restart the kernel and run the cells from the top.")
