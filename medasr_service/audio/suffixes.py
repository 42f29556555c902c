"""By which names files in a folder are taken for recordings; what they are their first bytes say."""

AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".m4a", ".aac", ".mp4", ".mov", ".3gp"),
    *(".webm", ".mka", ".mkv", ".amr", ".awb", ".wma", ".asf", ".dss", ".ds2", ".avi", ".flv", ".ts"),
    *(".mts", ".m2ts", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64", ".bw64", ".latm"),
)
