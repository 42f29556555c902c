"""How well a model writes, measured on recordings whose text is known.

samples -> transcripts (results) -> scoring -> summary -> report, page. ``scoring`` and those after it need
jiwer, which is in the extra ``evaluate``.
"""
