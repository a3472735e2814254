"""Import TensorFlow without its start-up messages.

A chapter imports this module before TensorFlow.  TensorFlow's native code writes lines with
process numbers and times of day to file descriptor 2, below the reach of Python's logging;
they would land on the page and differ from run to run.  They are held back while TensorFlow
starts, and shown after all if that fails.
"""

import contextlib
import os
import sys
import tempfile
import warnings

# Later notices.  Level 3, because deterministic operations make TensorFlow log a harmless "error"
# for every data set it rewrites; what really fails still raises a Python exception.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Keras passes shuffle=True itself, and then warns that a tf.data.Dataset is not shuffled by it.
warnings.filterwarnings("ignore", message="`shuffle=True` was passed", category=UserWarning)


@contextlib.contextmanager
def held_back():
    """Hold back what is written to file descriptor 2; show it if the block raises."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


with held_back():
    import cifar_helpers.own_keras  # noqa: F401, I001  (before TensorFlow, which imports Keras)
    import tensorflow as tf

    tf.config.list_logical_devices()  # starts the runtime, which has messages of its own
