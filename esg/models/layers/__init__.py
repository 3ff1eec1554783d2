"""Blocks that CropFormer and GELLA share: attention, backbones, pixel decoder, masked-attention decoder."""
