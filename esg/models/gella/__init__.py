"""GELLA: captions, their nouns, and the entities that each noun means (Qi et al., TPAMI 2026)."""
