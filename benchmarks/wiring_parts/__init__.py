"""The parts of the wiring benchmark."""
