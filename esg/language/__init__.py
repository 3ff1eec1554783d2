"""English: words, noun phrases, and lists of names, for every grounding model."""
