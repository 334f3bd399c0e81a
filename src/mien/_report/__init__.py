"""What the page of `mien.report` is made of: elements, charts, sentences, style and script."""
