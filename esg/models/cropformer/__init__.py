"""CropFormer: views, model, fusion and the published checkpoints (Qi et al., ICCV 2023)."""
