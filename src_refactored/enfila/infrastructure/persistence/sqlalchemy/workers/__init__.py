"""Workers, as others see them."""
