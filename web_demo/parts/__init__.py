"""The parts of the page: each says what stands in it and what happens when."""
