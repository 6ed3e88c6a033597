"""The names that programs of the first layout import."""
