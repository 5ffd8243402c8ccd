"""Learn how a network's layers should be connected, and keep a small, plain PyTorch model.

Images go through ``plexus.data`` to a supernet of ``plexus.nn``; training gives every connection a
strength; ``plexus.wiring`` prunes the weak ones and derives an ordinary ``torch.nn.Module``.

Importing ``plexus`` loads nothing heavy: torch comes in with the package that needs it.
"""

__version__ = "0.1.0"
