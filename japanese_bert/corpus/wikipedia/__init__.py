"""Rows of a Cirrussearch dump -> pages -> clean sentences."""
