"""Networks: CropFormer, GELLA, the training-free grounder, and the layers that they share."""
