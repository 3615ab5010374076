"""Frees what TensorFlow keeps of the networks of earlier runs in the same process."""
import sys


def free() -> None:
    """Frees networks that nobody uses any more, of all runs before.

    TensorFlow's registry of gradients holds on to every graph that was traced through a tf.custom_gradient, and by it
    to the weights, optimizer slots and best weights, for the life of the process. Nothing public removes them. It also
    counts traces by the code that is traced: those of several runs would look like a function that is traced again and
    again, and bring a warning.
    """
    if "tensorflow" not in sys.modules:  # of closed-form runs alone
        return
    import keras
    from tensorflow.python.eager.polymorphic_function import polymorphic_function
    from tensorflow.python.framework import ops

    gradients = ops.gradient_registry._registry
    of_graphs = [name for name in gradients if name.startswith("CustomGradient-")]
    detectors = polymorphic_function._frequent_tracing_detector_manager._detectors
    if not of_graphs and not detectors:  # no network was trained: closed-form runs need no collection, .3 s each
        return
    for name in of_graphs:
        del gradients[name]
    detectors.clear()
    keras.backend.clear_session()  # collects garbage, too
