"""Measuring this machine: interleaved runs side by side, told as ratios. Load goes only to this machine."""
