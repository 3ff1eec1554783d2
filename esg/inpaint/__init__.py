"""From a photo and a mask to the crop that an inpainting engine works on, and back without a seam."""
