"""Many runs in one process."""
import gc

from tfxmr.engine import memory
from tfxmr.evaluation import protocol
from tfxmr.models.ms2gan import MS2GAN, MS2GANSettings
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import run


def graphs():
    """The traced training steps that are alive, id -> name; each holds its network, optimizer slots and best weights."""
    gc.collect()
    found = {id(o): o.name for o in gc.get_objects() if type(o).__name__ == "FuncGraph"}
    return {key: name for key, name in found.items() if "execute" in name or "while_body" in name}


def test_free(make_data, tmp_path):
    """Guards against searches and repeats that need more memory with each run; without free() the graphs stay."""
    data, others = make_data(), graphs()  # a test before may have left some that it still holds
    settings = MS2GANSettings(specific_units=(8,), shared_units=(8,), modality_units=(4,), batch_size=12, steps=2)
    run(MS2GAN, settings, data, protocol.make("standard", data), tmp_path, RunOptions(validation_fraction=0.2))
    assert graphs().keys() - others.keys()
    memory.free()
    assert not graphs().keys() - others.keys()


def test_a_series_brings_no_warning_of_retracing(make_data, tmp_path, caplog):
    """Guards against ten lines of TensorFlow's between the results of a series; each run traces its functions anew."""
    data = make_data()
    settings = MS2GANSettings(
        specific_units=(8,), shared_units=(8,), modality_units=(4,), batch_size=12, steps=2, select="validation",
    )
    for seed in range(6):
        memory.free()
        run(MS2GAN, settings, data, protocol.make("standard", data), tmp_path / str(seed),
            RunOptions(validation_fraction=0.2, seed=seed))
    assert "retracing" not in caplog.text
