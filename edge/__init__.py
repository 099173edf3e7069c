"""The runtime (no torch): bundles, segments, controllers, backends."""
