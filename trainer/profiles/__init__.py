"""Making profiles of base models: their shape and costs, read off their architecture on torch's meta device."""
