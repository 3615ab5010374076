"""Encoders of neural methods: what is kept, and that many of them are quiet."""
import logging

import numpy as np

import tfxmr
from tfxmr.encoding import neural
from tfxmr.evaluation import protocol
from tfxmr.models.danzcr import DANZCR
from tfxmr.models.ms2gan import MS2GAN, MS2GANSettings
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import run
from tfxmr.testing import quick

SMALL = MS2GANSettings(specific_units=(5,), shared_units=(5,), modality_units=(4,), batch_size=12, steps=2)


def test_what_encoding_needs(make_data):
    """Guards against discriminators that are kept, and encoders that are not."""
    data = make_data(classes=4, train=24, test=8)
    assert neural.encoding_networks(MS2GAN(data, SMALL)) == {"specific_image", "specific_text", "shared"}
    assert neural.encoding_networks(DANZCR(data, quick(DANZCR))) == {"G_FI", "G_FT"}


def test_five_modalities_bring_no_warning_of_retracing(make_data, tmp_path, caplog):
    """Guards against functions of one code that TensorFlow takes for one that is traced again and again."""
    dims = {"image": 9, "text": 8, "video": 7, "audio": 6, "shape3d": 5}
    data = make_data(dims=dims, classes=4, train=48, test=8)
    run(MS2GAN, SMALL, data, protocol.make("standard", data), tmp_path, RunOptions(validation_fraction=0.25))
    caplog.clear()
    with caplog.at_level(logging.WARNING, "tensorflow"):
        for _ in range(2):
            encoder = tfxmr.load(tmp_path)
            for m in dims:
                for count in (3, 8):
                    made = encoder.encode_features(m, data.splits["test"].features[m][:count])
                    assert made.shape == (count, 10) and np.isfinite(made).all()
    assert "retracing" not in caplog.text
