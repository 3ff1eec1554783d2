"""The training-free grounder: public CLIP and LLaVA weights in place of a trained GELLA, behind the same `Grounder`."""
