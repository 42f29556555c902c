"""The version, where also a process finds it that runs the sources without having installed them."""

VERSION = "0.2.0"
