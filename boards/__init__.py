"""What each board is made of, as data: one file a board, read and checked by `drivers/board.py`."""
