"""From a photo and a mask to the crop for an inpainting engine, and back without a seam."""
