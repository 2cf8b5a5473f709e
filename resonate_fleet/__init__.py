"""The reference worker fleet for Resonate."""
