"""Ports of the model family, one range for each kind of model."""

PORTS = {
    # ASR models: 84XX
    "medasr": 8400,
}
