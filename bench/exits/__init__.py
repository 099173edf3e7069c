"""Where early-exit networks stop: what every exit would say of every frame, thresholds from that, and figures."""
