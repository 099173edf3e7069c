"""Networks in torch, built from stages so that each piece can be exported on its own."""
