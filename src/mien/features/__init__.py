"""Media to time series: extractors by name, people in a recording, the cache of features."""
