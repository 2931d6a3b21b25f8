"""The nouns: frozen values that every part of Tocsin speaks. No input or output happens here."""
