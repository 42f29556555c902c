"""Odd files, made from sound ones: `make fuzz`, and a short run of it in the tests."""
