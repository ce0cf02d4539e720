"""Make ``keras_organs``: a SavedModel that Keras exported, with what Keras says of one window.

    pip install tensorflow-cpu && python make_keras_organs.py

Made with TensorFlow 2.21 and Keras 3.15.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

HERE = Path(__file__).parent
SIDE = 8

keras.utils.set_random_seed(3)
window = keras.Input((SIDE, SIDE, SIDE, 1), name="window")
hidden = keras.layers.Conv3D(4, 3, padding="same", activation="relu")(window)
hidden = keras.layers.BatchNormalization()(hidden)
network = keras.Model(window, keras.layers.Conv3D(3, 1, activation="softmax")(hidden))
network.export(HERE / "keras_organs")
given = np.random.default_rng(0).random((1, SIDE, SIDE, SIDE, 1), dtype=np.float32)
np.save(HERE / "keras_organs.npy", network.predict(given, verbose=0))
