"""Speech while it is spoken: MedASR is no streaming model, so a sliding window is decoded again and again.

audio -> Session (window, infer, ctc) -> Agreement (words that are sure to stay) -> Writer (formatted text)
"""
