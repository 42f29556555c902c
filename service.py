"""The entry of BentoML: `bentoml serve service:MedASR`."""

from medasr_service.serving.services import MedASR

__all__ = ["MedASR"]
