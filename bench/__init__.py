"""How good and how steady the drawing is, measured on the product's own filter."""
