"""Recordings in, timelines out: recognizer, batch, results folder."""
