"""A Model Context Protocol server: what an assistant may ask of the broker, and the one thing that it may spend on."""
