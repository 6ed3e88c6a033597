"""Live speech to text on your own machine."""
