"""Frames and samples to sequences: faces, voice, encoders, and what is kept of them."""
