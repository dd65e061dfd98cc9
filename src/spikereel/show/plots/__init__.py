"""One picture each, drawn by matplotlib; `spikereel.plot` lists them."""
