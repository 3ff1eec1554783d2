"""Names of the files in the folder of a training run that several modules read."""

CHECKPOINT = "checkpoint.pt"
TOKENIZER = "tokenizer.json"
BEST = "best.safetensors"
